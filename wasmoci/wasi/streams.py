"""Descriptors of the standard streams.

What stands behind one stays the host's: a guest that closes its end closes nothing else.
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


_PIECE = 1 << 20  # bytes that are copied at once: a buffer may be as large as the guest's memory


class Stream(Protocol):
    """A source or a sink of the host's that is no file descriptor, to serve as a guest's standard stream."""

    def read(self, size: int, /) -> bytes | None:
        """Give up to ``size`` bytes; none at the end, and ``None`` when there are none yet."""

    def write(self, data: bytes, /) -> int | None:
        """Take bytes, and tell how many; ``None`` stands for all."""


class Standard(Descriptor):
    """A standard stream; it has no position, wherever it leads."""

    __slots__ = ()

    def refusal(self, right: int) -> int:
        """Say that it is a stream, or that it goes the other way."""
        if right & (Rights.FD_READ | Rights.FD_WRITE) & ~self.rights:
            return Errno.BADF
        return Errno.SPIPE if right & (Rights.FD_SEEK | Rights.FD_TELL) else Errno.BADF


class HostStream(Standard):
    """A descriptor of the host.

    Args:
        fd: The host's number.
        rights: :attr:`Rights.STDIN` or :attr:`Rights.STDOUT`.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int, rights: int) -> None:
        super().__init__(Filetype.CHARACTER_DEVICE if os.isatty(fd) else Filetype.UNKNOWN, rights)
        self._fd = fd

    def readv(self, buffers: list[memoryview]) -> int:
        """Read what is there."""
        return os.readv(self._fd, buffers)

    def writev(self, buffers: list[memoryview]) -> int:
        """Write as much as is taken."""
        if len(buffers) == 1:  # a third less time
            return os.write(self._fd, buffers[0])
        return os.writev(self._fd, buffers)

    def fileno(self) -> int:
        """Give the host's number."""
        return self._fd


class InjectedStream(Standard):
    """An object of the host's.

    Args:
        stream: Where bytes come from or go to.
        rights: :attr:`Rights.STDIN` or :attr:`Rights.STDOUT`.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream, rights: int) -> None:
        super().__init__(Filetype.UNKNOWN, rights)
        self._stream = stream

    def readv(self, buffers: list[memoryview]) -> int:
        """Read into one buffer: for a second one the stream might have to wait."""
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
        """Write as much as is taken."""
        total = 0
        for buffer in buffers:
            for start in range(0, len(buffer), _PIECE):
                data = bytes(buffer[start : start + _PIECE])  # what a stream keeps must not be the guest's memory
                taken = self._stream.write(data)
                if taken is None:
                    taken = len(data)
                total += taken
                if taken < len(data):
                    return total
        return total
