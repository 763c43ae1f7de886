"""Serves a guest's calls from its pipe with :mod:`wasmoci.wasi`: the host's side of the tunnel."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from typing import TYPE_CHECKING, Protocol

from wasmoci.errors import EngineCrashed
from wasmoci.handlers import wasi_host
from wasmoci.handlers._wasmer.messages import (
    CALL_SIZE,
    COMMAND,
    GATHERED,
    HEADER,
    NUMBERS,
    POSTED,
    READ,
    REFUSED,
    RETURN,
    SCRATCH,
    WRITE,
)
from wasmoci.handlers._wasmer.regions import Mirror
from wasmoci.wasi import FUNCTIONS, Errno

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wasmoci.handlers._wasmer.regions import Span
    from wasmoci.oci.entrypoint import Entrypoint
    from wasmoci.wasi import Wasi

_NAMES = {number: name for name, number in NUMBERS.items()}
_ARGUMENTS = {
    name: struct.Struct("<" + "".join({"i32": "i4x", "i64": "q"}[kind] for kind in signature.params))
    for name, signature in FUNCTIONS.items()
}
_MAX_PAGES = (1 << 21) - 1
_MOST_COMMANDS = 4096 // COMMAND.size
_PAUSE = 0.001  # seconds until a stream that takes nothing now is tried again
_OUTPUTS = {1: "its standard output", 2: "its standard error"}
_NO_BYTES = b"\0" * 16


class Pipe(Protocol):
    """A pipe to and from the guest."""

    def read(self, size: int) -> bytes:
        """Read a number of bytes from the guest; fewer only at its end."""
        ...

    def write(self, data: bytes) -> None:
        """Write bytes to the guest."""
        ...


class _Gone(Exception):
    """The guest has ended within a message."""


class Service:
    """Serves one guest.

    Args:
        entrypoint: Its arguments and environment.
        wasi: Its host.
        pipe: The way to it.

    Attributes:
        refused: How often its limit has refused it memory, as far as it has told.
        is_cut: Whether it has ended in the middle of a call.
    """

    def __init__(self, entrypoint: Entrypoint, wasi: Wasi, pipe: Pipe) -> None:
        self._functions = wasi.functions()
        self._pipe = pipe
        self._mirror = Mirror(
            arguments=[_length(text) for text in entrypoint.argv],
            variables=[_length(name) + _length(value) for name, value in entrypoint.env],
        )
        self._scratch = bytearray(SCRATCH)
        self._failed: dict[int, int] = {}  # descriptors, and why a posted write to them has failed
        self.refused = 0
        self.is_cut = False
        self._process = os.getpid()
        wasi.bind(self._mirror)

    def run(self) -> None:
        """Serve calls until the guest closes the pipe; an incomplete call isn't served.

        Raises:
            EngineCrashed: What comes is no call.
            EngineError: This process was forked within a call.
            BaseException: Whatever a function of the host raises, :exc:`~wasmoci.wasi.ProcExit` among it.
        """
        with contextlib.suppress(_Gone):
            while True:
                self._take_call()

    @property
    def lost(self) -> str:
        """Return the outputs with a failed write that wasn't reported to the guest; empty when there are none.

        A stream that was closed before doesn't count: nobody can have wanted what was written to it.
        """
        failed = sorted(fd for fd, errno in self._failed.items() if errno != Errno.BADF)
        return " and ".join(_OUTPUTS.get(fd, f"descriptor {fd}") for fd in failed)

    def _take_call(self) -> None:
        self._check_process()
        self.is_cut = False
        message = self._pipe.read(CALL_SIZE)
        if not message:
            raise _Gone
        self.is_cut = True
        if len(message) < CALL_SIZE:
            raise _Gone
        before, header = message[: SCRATCH - 16], message[SCRATCH - 16 :]
        first, number, self.refused, arguments = HEADER.unpack(header)
        self._scratch[:] = first + before
        with _sense():
            self._mirror.resize(number >> 8 & _MAX_PAGES)
        if number & 0xFF == REFUSED:
            self._return(0, [])
        else:
            name = _NAMES.get(number & 0xFF)
            if name is None:
                raise EngineCrashed(f"wasmer's guest called function {number & 0xFF} of its host, which has none")
            self._serve(name, arguments, number)

    def _check_process(self) -> None:
        if os.getpid() != self._process:  # the pipe is the other one's
            raise wasi_host.forked()

    def _read(self, size: int) -> bytes:
        data = self._pipe.read(size)
        if len(data) < size:
            raise _Gone
        return data

    def _serve(self, name: str, packed: bytes, flags: int) -> None:
        arguments = _ARGUMENTS[name].unpack_from(packed)
        gathered = bool(flags & GATHERED)
        with _sense():
            self._fetch(self._mirror.read(name, arguments), gathered=gathered)
            self._fetch(self._mirror.read_next(name, arguments), gathered=gathered)
        if flags & POSTED:
            self._post(arguments)
            return
        errno = self._failed.pop(arguments[0], 0) if name == "fd_write" else 0
        with _sense():
            errno = errno or self._functions[name].call(*arguments) or 0
        self._return(errno, [] if errno else self._mirror.written(name, arguments))

    def _post(self, arguments: tuple[int, ...]) -> None:
        """Write everything, as the guest assumes; after a failure nothing more until the guest has been told."""
        fd, vectors, count, written = arguments
        while fd not in self._failed:
            errno = self._functions["fd_write"].call(*arguments)
            if errno == Errno.AGAIN:
                time.sleep(_PAUSE)
            elif errno:
                self._failed[fd] = errno
            elif self._mirror.advance(vectors, count, written):
                return

    def _fetch(self, spans: list[Span], *, gathered: bool) -> None:
        """Request a region from the guest; it sends gathered data without a request."""
        view = self._mirror.view()
        for number, (start, size) in enumerate(spans):
            if not gathered and number % _MOST_COMMANDS == 0:
                # No more at once than a pipe holds: the guest may have to get rid of its answers before it takes the next.
                some = spans[number : number + _MOST_COMMANDS]
                self._pipe.write(b"".join(COMMAND.pack(READ, *span, 0, _NO_BYTES) for span in some))
            view[start : start + size] = self._read(size)
            if start < SCRATCH:  # where the guest has the messages now
                end = min(start + size, SCRATCH)
                view[start:end] = self._scratch[start:end]

    def _return(self, result: int, spans: Iterable[Span]) -> None:
        self._check_process()
        view = self._mirror.view()
        parts: list[bytes | bytearray | memoryview] = []
        for start, size in spans:
            end = start + size
            if start < SCRATCH:
                within = min(end, SCRATCH)
                self._scratch[start:within] = view[start:within]
                start = within  # noqa: PLW2901  the rest
            if start < end:
                parts += (COMMAND.pack(WRITE, start, end - start, 0, _NO_BYTES), view[start:end])
        parts += (COMMAND.pack(RETURN, 0, 0, result, bytes(self._scratch[:16])), self._scratch[16:])
        self._pipe.write(b"".join(parts))


@contextlib.contextmanager
def _sense() -> Iterator[None]:
    """Take it for a crash when what a guest's process says of its memory can't be: no guest in its sandbox says so."""
    try:
        yield
    except (TypeError, ValueError, OSError, OverflowError) as error:
        raise EngineCrashed(f"wasmer's guest sent what is no call of its host: {error}") from error


def _length(text: str) -> int:
    """Bytes that a string takes with the one that ends it, NUL or an equals sign."""
    return len(text.encode(errors="surrogateescape")) + 1
