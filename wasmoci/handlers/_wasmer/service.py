"""The host's side of the tunnel: takes a guest's calls from its pipe, serves them with :mod:`wasmoci.wasi`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from wasmoci.handlers._wasmer.regions import Mirror
from wasmoci.handlers._wasmer.tunnel import (
    CALL_SIZE,
    COMMAND,
    HEADER,
    NUMBERS,
    READ,
    REFUSED,
    RETURN,
    SCRATCH,
    WRITE,
)
from wasmoci.wasi import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wasmoci.entrypoint import Entrypoint
    from wasmoci.handlers._wasmer.regions import Span
    from wasmoci.wasi import Wasi

_NAMES = {number: name for name, number in NUMBERS.items()}
_ARGUMENTS = {
    name: struct.Struct("<" + "".join({"i32": "i4x", "i64": "q"}[kind] for kind in signature.params))
    for name, signature in FUNCTIONS.items()
}
_NO_BYTES = b"\0" * 16


class Pipe(Protocol):
    """Both directions to the guest."""

    def read(self, size: int) -> bytes:
        """So many bytes from the guest; fewer only at its end."""
        ...

    def write(self, data: bytes) -> None:
        """Bytes for the guest."""
        ...


class Service:
    """Serves one guest.

    Args:
        entrypoint: Its arguments and environment.
        wasi: Its host.
        pipe: The way to it.

    Attributes:
        refused: How often its limit has refused it memory, as far as it has told.
    """

    def __init__(self, entrypoint: Entrypoint, wasi: Wasi, pipe: Pipe) -> None:
        self._functions = wasi.functions()
        self._pipe = pipe
        self._mirror = Mirror(
            arguments=[_length(text) for text in entrypoint.argv],
            variables=[_length(name) + _length(value) for name, value in entrypoint.env],
        )
        self._scratch = bytearray(SCRATCH)
        self.refused = 0
        wasi.bind(self._mirror)

    def run(self) -> None:
        """Serve calls until the guest's end of the pipe is closed.

        Raises:
            BaseException: Whatever a function of the host raises, :exc:`~wasmoci.wasi.ProcExit` among it.
        """
        while len(message := self._pipe.read(CALL_SIZE)) == CALL_SIZE:
            before, header = message[: SCRATCH - 16], message[SCRATCH - 16 :]
            first, number, self.refused, arguments = HEADER.unpack(header)
            self._scratch[:] = first + before
            self._mirror.resize(number >> 8)
            if number & 0xFF == REFUSED:
                self._return(0, [])
            else:
                self._serve(_NAMES[number & 0xFF], arguments)

    def _serve(self, name: str, packed: bytes) -> None:
        arguments = _ARGUMENTS[name].unpack_from(packed)
        self._fetch(self._mirror.read(name, arguments))
        self._fetch(self._mirror.read_next(name, arguments))
        errno = self._functions[name].call(*arguments) or 0
        self._return(errno, [] if errno else self._mirror.written(name, arguments))

    def _fetch(self, spans: list[Span]) -> None:
        if not spans:
            return
        self._pipe.write(b"".join(COMMAND.pack(READ, *span, 0, _NO_BYTES) for span in spans))
        view = self._mirror.view()
        for start, size in spans:
            data = self._pipe.read(size)
            view[start : start + len(data)] = data
            if start < SCRATCH:  # where the guest has the messages now
                end = min(start + size, SCRATCH)
                view[start:end] = self._scratch[start:end]

    def _return(self, result: int, spans: Iterable[Span]) -> None:
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


def _length(text: str) -> int:
    """Bytes that a string takes with the one that ends it, NUL or an equals sign."""
    return len(text.encode(errors="surrogateescape")) + 1
