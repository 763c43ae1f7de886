"""Implements the host functions that write a guest's outputs, unless these are the process's own streams.

wasmtime hands each chunk for another output to a thread of its own, which calls back, and lets go of the output on that thread
as well: that takes longer than all else of a small run. So ``fd_write`` is a host function here, which takes what goes to the
outputs on the guest's thread. They follow their descriptors when the guest closes or moves these, which wasmtime does
(:mod:`inner_module`). A guest with these functions opens nothing (:mod:`linking`), so it has no other descriptor to write to.
"""

from __future__ import annotations

import functools

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasmtime import calls
from wasmoci.handlers._wasmtime.inner_module import WASI
from wasmoci.handlers._wasmtime.outputs import GuardedSink
from wasmoci.handlers._wasmtime.traps import STOPPED
from wasmoci.wasi import FUNCTIONS, Errno
from wasmoci.wasi.errno import FAILURES, errno_of
from wasmoci.wasi.memory import buffers, region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wasmoci.handlers._wasmtime.inner_module import LinkedInner
    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.run_state import Run
    from wasmoci.stdio import Sink, Streams

_TAKEN = ("fd_close", "fd_renumber", "fd_write")
_STDOUT, _STDERR = 1, 2
_SIZE = 4  # bytes of the count that fd_write gives
_PIECE = 1 << 20  # bytes that are taken at once: buffers may overlap, and be many times the guest's memory together


def define(linker: Owned) -> None:
    """Define the functions in a linker, over wasmtime's own."""
    for name, function in _functions.items():
        calls.define(linker, WASI, name, FUNCTIONS[name], function)


class GuestOutputs:
    """The outputs of one run.

    Args:
        streams: The run's streams.
        run: Learns of exceptions in the functions that take output.
        inner: Calls wasmtime's WASI.
    """

    def __init__(self, streams: Streams, run: Run, inner: LinkedInner) -> None:
        self._sinks: dict[int, Sink] = {
            _STDOUT: GuardedSink(streams.stdout, run),
            _STDERR: GuardedSink(streams.stderr, run),
        }
        self._run = run
        self._inner = inner

    def functions(self) -> dict[str, Callable[..., int]]:
        """What answers a guest's calls, by the name of the function."""
        return {"fd_close": self._close, "fd_renumber": self._renumber, "fd_write": self._write}

    def _write(self, caller: int, fd: int, pointer: int, count: int, result: int) -> int:
        """Implement ``fd_write``; a pointer out of bounds is a trap, as in wasmtime's own."""
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
            return Errno.BADF
        errno, written = self._take(sink, pieces)
        if errno == Errno.SUCCESS:
            target[:] = written.to_bytes(_SIZE, "little")
        return errno

    def _close(self, _caller: int, fd: int) -> int:
        """Answer ``fd_close``."""
        errno = self._inner.call("fd_close", (fd,))
        if errno == Errno.SUCCESS:
            self._sinks.pop(fd, None)
        return errno

    def _renumber(self, _caller: int, fd: int, to: int) -> int:
        """Answer ``fd_renumber``."""
        errno = self._inner.call("fd_renumber", (fd, to))
        if errno == Errno.SUCCESS and fd != to:
            moved = self._sinks.pop(fd, None)
            self._sinks.pop(to, None)
            if moved is not None:
                self._sinks[to] = moved
        return errno

    def _take(self, sink: Sink, buffers: list[memoryview]) -> tuple[int, int]:
        written = 0
        is_one = len(buffers) == 1 and 0 < len(buffers[0]) <= _PIECE  # as most are
        for data in (bytes(buffers[0]),) if is_one else _gathered(buffers):
            if self._run.stopped:
                raise calls.Trapped(STOPPED)
            try:
                sink.write(data)
            except OSError as error:
                return (Errno.SUCCESS, written) if written else (errno_of(error), 0)
            written += len(data)
        return Errno.SUCCESS, written


def _gathered(buffers: list[memoryview]) -> Iterator[bytes]:
    """Join buffers to a few pieces."""
    taken, room = [], _PIECE
    for buffer in buffers:
        rest = buffer
        while rest:
            taken.append(rest[:room])
            rest = rest[room:]
            room -= len(taken[-1])
            if not room:
                yield b"".join(taken)
                taken, room = [], _PIECE
    if taken:
        yield b"".join(taken)


def _answer(name: str, run: Run, caller: int, *arguments: int) -> int | None:
    return run.host[name](caller, *arguments)


_functions = calls.host_functions({name: (FUNCTIONS[name], functools.partial(_answer, name)) for name in _TAKEN})
