"""Descriptors of sockets, listening or connected."""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import Errno, Filetype, Rights
from wasmoci.wasi.descriptors import Descriptor

if TYPE_CHECKING:
    import socket


class Socket(Descriptor):
    """A preopened listening socket, or a connection that it accepted.

    Args:
        sock: The host's socket, which is closed with the descriptor.
        rights: :attr:`Rights.LISTENER` or :attr:`Rights.CONNECTION`.
    """

    __slots__ = ("sock",)

    def __init__(self, sock: socket.socket, rights: int, inheriting: int = 0, flags: int = 0) -> None:
        super().__init__(Filetype.SOCKET_STREAM, rights, inheriting, flags)
        self.sock = sock

    def refusal(self, right: int) -> int:
        """Return the errno for a missing right, or for an operation that sockets don't support."""
        if right & (Rights.FD_SEEK | Rights.FD_TELL):
            return Errno.SPIPE
        return Errno.BADF if right & ~(Rights.LISTENER | Rights.CONNECTION) else super().refusal(right)

    def readv(self, buffers: list[memoryview]) -> int:
        """Receive."""
        return os.readv(self.sock.fileno(), buffers)

    def writev(self, buffers: list[memoryview]) -> int:
        """Send."""
        return self.sock.sendmsg(buffers)

    def fileno(self) -> int:
        """Return the host's descriptor."""
        return self.sock.fileno()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
