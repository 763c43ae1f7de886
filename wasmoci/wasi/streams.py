"""Descriptors of the standard streams.

The host keeps its own end: a guest that closes a stream closes nothing of the host's.
"""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import Errno, Filetype, Rights
from wasmoci.wasi.descriptors import Descriptor
from wasmoci.wasi.errno import Refusal

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # as in wasmoci.wasi.memory


_PIECE = 1 << 20  # bytes that are copied at once, as a buffer may be as large as the guest's memory


class Stream(Protocol):
    """A source or sink that isn't a file descriptor, to serve as a guest's standard stream."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to ``size`` bytes; none at the end, and ``None`` when there are none yet."""

    def write(self, data: bytes, /) -> int | None:
        """Write bytes, and return their number; ``None`` stands for all."""


class Standard(Descriptor):
    """A standard stream, which has no position, whatever it leads to."""

    __slots__ = ()

    def refusal(self, right: int) -> int:
        """Return the errno for seeking in a stream, or for the wrong direction."""
        if right & (Rights.FD_READ | Rights.FD_WRITE) & ~self.rights:
            return Errno.BADF
        return Errno.SPIPE if right & (Rights.FD_SEEK | Rights.FD_TELL) else Errno.BADF


class HostStream(Standard):
    """A standard stream that is a descriptor of the host.

    Args:
        fd: The host's number.
        rights: :attr:`Rights.STDIN` or :attr:`Rights.STDOUT`.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int, rights: int) -> None:
        super().__init__(Filetype.CHARACTER_DEVICE if os.isatty(fd) else Filetype.UNKNOWN, rights)
        self._fd = fd

    def readv(self, buffers: list[memoryview]) -> int:
        """Read what is available."""
        return os.readv(self._fd, buffers)

    def writev(self, buffers: list[memoryview]) -> int:
        """Write as much as is accepted."""
        if len(buffers) == 1:  # saves a third of the time
            return os.write(self._fd, buffers[0])
        return os.writev(self._fd, buffers)

    def fileno(self) -> int:
        """Return the host's number."""
        return self._fd


class InjectedStream(Standard):
    """A standard stream that is an object in Python.

    Args:
        stream: Reads or writes the bytes.
        rights: :attr:`Rights.STDIN` or :attr:`Rights.STDOUT`.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream, rights: int) -> None:
        super().__init__(Filetype.UNKNOWN, rights)
        self._stream = stream

    def readv(self, buffers: list[memoryview]) -> int:
        """Read into one buffer only: for a second one the stream might have to wait."""
        buffer = next(filter(len, buffers), None)
        if buffer is None:
            return 0
        data = self._stream.read(len(buffer))
        if data is None:
            raise Refusal(Errno.AGAIN)
        data = data[: len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def writev(self, buffers: list[memoryview]) -> int:
        """Write as much as is accepted."""
        total = 0
        for buffer in buffers:
            for start in range(0, len(buffer), _PIECE):
                data = bytes(buffer[start : start + _PIECE])  # a copy, because the stream may keep it
                taken = self._stream.write(data)
                if taken is None:
                    taken = len(data)
                total += taken
                if taken < len(data):
                    return total
        return total
