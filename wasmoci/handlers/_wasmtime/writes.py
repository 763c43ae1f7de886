"""What a guest writes to its outputs, where these are not simply this process's own.

wasmtime hands each chunk for another output to a thread of its own, which calls back, and lets go of the output on that thread
as well: that takes longer than all else of a small run. So ``fd_write`` is a host function here, which takes what goes to the
outputs on the guest's thread. They follow their descriptors when the guest closes or moves these. All other descriptors are
wasmtime's, through :mod:`inner`.
"""

from __future__ import annotations

import functools

from wasmoci.handlers._wasmtime import calls
from wasmoci.handlers._wasmtime.inner import CALLS, WASI
from wasmoci.handlers._wasmtime.outputs import guarded
from wasmoci.wasi import FUNCTIONS, Errno
from wasmoci.wasi.failure import FAILURES, errno_of
from wasmoci.wasi.memory import buffers, region

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers._wasmtime.inner import LinkedInner
    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.paths import GuestPaths
    from wasmoci.handlers._wasmtime.run import Run
    from wasmoci.stdio import Sink, Streams

_STDOUT, _STDERR = 1, 2
_SIZE = 4  # bytes of the count that fd_write gives


def define(linker: Owned) -> None:
    """Define the functions in a linker, over those of :mod:`paths`."""
    for name, function in _functions.items():
        calls.define(linker, WASI, name, FUNCTIONS[name], function)


class GuestOutputs:
    """The outputs of one run.

    Args:
        streams: The run's streams.
        run: Learns of exceptions in the functions that take output.
        paths: Follows the guest's descriptors.
        inner: Calls wasmtime's WASI.
    """

    def __init__(self, streams: Streams, run: Run, paths: GuestPaths, inner: LinkedInner) -> None:
        kept = guarded(streams, run)
        self._sinks: dict[int, Sink] = {_STDOUT: kept.stdout, _STDERR: kept.stderr}
        self._run = run
        self._paths = paths
        self._inner = inner

    def write(self, caller: int, fd: int, pointer: int, count: int, result: int) -> int:
        """Answer ``fd_write``; a pointer that leads out of the memory is a trap, as it is in wasmtime's own."""
        memory = calls.memory_of(self._run, caller, required=True)
        try:
            target = region(memory, result, _SIZE)
            pieces = buffers(memory, pointer, count)
        except FAILURES as failure:
            if errno_of(failure) != Errno.FAULT:
                return errno_of(failure)
            raise calls.Trapped("fd_write: pointer out of bounds") from None
        sink = self._sinks.get(fd)
        if sink is None:
            errno, written = self._inner.made().write(self._run.context, fd, pieces)
        else:
            errno, written = _write(sink, b"".join(pieces))
        if errno == Errno.SUCCESS:
            target[:] = written.to_bytes(_SIZE, "little")
        return errno

    def close(self, caller: int, fd: int) -> int:
        """Answer ``fd_close``."""
        errno = self._paths.call(self._run, caller, CALLS["fd_close"], (fd,))
        if errno == Errno.SUCCESS:
            self._sinks.pop(fd, None)
        return errno

    def renumber(self, caller: int, fd: int, to: int) -> int:
        """Answer ``fd_renumber``."""
        errno = self._paths.call(self._run, caller, CALLS["fd_renumber"], (fd, to))
        if errno == Errno.SUCCESS and fd != to:
            moved = self._sinks.pop(fd, None)
            self._sinks.pop(to, None)
            if moved is not None:
                self._sinks[to] = moved
        return errno


def _write(sink: Sink, data: bytes) -> tuple[int, int]:
    try:
        if data:
            sink.write(data)
    except OSError as error:
        return errno_of(error), 0
    return Errno.SUCCESS, len(data)


def _answer(name: str, run: Run, caller: int, *arguments: int) -> int:
    if run.outputs is None:
        return Errno.NOSYS
    answer: Callable[..., int] = getattr(run.outputs, _METHODS[name])
    return answer(caller, *arguments)


_METHODS = {"fd_close": "close", "fd_renumber": "renumber", "fd_write": "write"}
_functions = calls.host_functions({name: (FUNCTIONS[name], functools.partial(_answer, name)) for name in _METHODS})
