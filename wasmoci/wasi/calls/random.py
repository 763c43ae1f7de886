"""Implements ``random_get``."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import Errno
from wasmoci.wasi.errno import FAILURES, errno_of
from wasmoci.wasi.memory import region

if TYPE_CHECKING:
    from wasmoci.wasi.host import Host

_CHUNK = 1 << 20


class Random:
    """Random bytes."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def random_get(self, buf: int, buf_len: int) -> int:
        """Fill a buffer from the host's cryptographic generator, or from an injected one."""
        try:
            where = region(self._host.view(), buf, buf_len)
            for start in range(0, len(where), _CHUNK):
                piece = where[start : start + _CHUNK]
                piece[:] = self._host.random(len(piece))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS
