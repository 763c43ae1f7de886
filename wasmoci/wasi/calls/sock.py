"""Implements ``sock_*`` on sockets that the host opened for the guest."""

# ruff: noqa: PLR0917 - the parameters are those of the witx file

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import SIZE, U32, Errno, Fdflags, Rights
from wasmoci.wasi.errno import FAILURES, Refusal, errno_of
from wasmoci.wasi.memory import buffers, region
from wasmoci.wasi.sockets import Socket

if TYPE_CHECKING:
    from wasmoci.wasi.host import Host

_PEEK = 1  # $riflags
_WAITALL = 2
_TRUNCATED = 1  # $roflags
_SHUT_RD = 1  # $sdflags
_SHUT_WR = 2


class Sock:
    """Accepting connections, and sending and receiving over them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._table = host.table

    def sock_accept(self, fd: int, flags: int, connection: int) -> int:
        """Accept a connection, and write its number; ``NONBLOCK`` is the only flag supported."""
        try:
            result = region(self._host.view(), connection, SIZE.size)
            entry = self._socket(fd, Rights.SOCK_ACCEPT)
            if flags & ~Fdflags.NONBLOCK:
                return Errno.INVAL
            self._table.check_room()
            sock, _ = entry.sock.accept()
            try:
                self._table.check_host(sock.fileno())
            except Refusal:
                sock.close()
                raise
            sock.setblocking(not flags)
            rights = Rights.CONNECTION & entry.inheriting
            SIZE.pack_into(result, 0, self._table.add(Socket(sock, rights, 0, flags)))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def sock_recv(self, fd: int, iovs: int, iovs_len: int, flags: int, size: int, result_flags: int) -> int:
        """Receive into buffers; write the number of bytes, and whether a message was truncated."""
        try:
            view = self._host.view()
            size_at = region(view, size, SIZE.size)
            flags_at = region(view, result_flags, 2)
            entry = self._socket(fd, Rights.FD_READ)
            if flags & ~(_PEEK | _WAITALL):
                return Errno.INVAL
            import socket  # noqa: PLC0415  3 ms of each start; loaded already where there are sockets

            host_flags = (socket.MSG_PEEK if flags & _PEEK else 0) | (socket.MSG_WAITALL if flags & _WAITALL else 0)
            done, _, message_flags, _ = entry.sock.recvmsg_into(buffers(view, iovs, iovs_len), 0, host_flags)
            SIZE.pack_into(size_at, 0, done)
            flags_at[:] = bytes((_TRUNCATED if message_flags & socket.MSG_TRUNC else 0, 0))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def sock_send(self, fd: int, iovs: int, iovs_len: int, flags: int, size: int) -> int:
        """Send buffers, and write the number of bytes; no flags are supported."""
        try:
            view = self._host.view()
            size_at = region(view, size, SIZE.size)
            entry = self._socket(fd, Rights.FD_WRITE)
            if flags:
                return Errno.INVAL
            SIZE.pack_into(size_at, 0, entry.writev(buffers(view, iovs, iovs_len)))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def sock_shutdown(self, fd: int, how: int) -> int:
        """Shut down receiving, sending or both."""
        try:
            entry = self._socket(fd, Rights.SOCK_SHUTDOWN)
            if not 0 < how & U32 <= _SHUT_RD | _SHUT_WR:
                return Errno.INVAL
            entry.sock.shutdown(how - 1)  # SHUT_RD, SHUT_WR and SHUT_RDWR are 0, 1 and 2
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _socket(self, fd: int, right: int) -> Socket:
        entry = self._table.get(fd, 0)
        if not isinstance(entry, Socket):
            raise Refusal(Errno.NOTSOCK)
        self._table.get(fd, right)
        return entry
