"""Implements ``args_*`` and ``environ_*``: the guest's arguments and environment."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import SIZE, U32, Errno
from wasmoci.wasi.errno import FAILURES, errno_of
from wasmoci.wasi.memory import region

if TYPE_CHECKING:
    from wasmoci.wasi.host import Host


class Arguments:
    """Arguments and environment."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def args_get(self, argv: int, argv_buf: int) -> int:
        """Write the arguments to ``argv_buf`` and their addresses to ``argv``."""
        return self._strings(self._host.args, argv, argv_buf)

    def args_sizes_get(self, count: int, size: int) -> int:
        """Write the number of arguments, and their size in bytes."""
        return self._sizes(self._host.args, count, size)

    def environ_get(self, environ: int, environ_buf: int) -> int:
        """Write the environment to ``environ_buf`` and the variables' addresses to ``environ``."""
        return self._strings(self._host.environ, environ, environ_buf)

    def environ_sizes_get(self, count: int, size: int) -> int:
        """Write the number of variables, and their size in bytes."""
        return self._sizes(self._host.environ, count, size)

    def _strings(self, strings: list[bytes], pointers: int, buffer: int) -> int:
        try:
            view = self._host.view()
            data = b"".join(string + b"\0" for string in strings)
            addresses = []
            address = buffer & U32
            for string in strings:
                addresses.append(SIZE.pack(address & U32))
                address += len(string) + 1
            where = region(view, pointers, SIZE.size * len(strings))
            region(view, buffer, len(data))[:] = data
            where[:] = b"".join(addresses)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _sizes(self, strings: list[bytes], count: int, size: int) -> int:
        try:
            view = self._host.view()
            where = region(view, count, SIZE.size)
            SIZE.pack_into(view, size & U32, sum(len(string) + 1 for string in strings))
            SIZE.pack_into(where, 0, len(strings))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS
