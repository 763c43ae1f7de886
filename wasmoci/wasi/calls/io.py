"""Implements ``fd_read``, ``fd_write``, ``fd_seek`` and their relatives: input, output and the file position."""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import SIZE, TIMESTAMP, U32, U64, Errno, Rights, Whence
from wasmoci.wasi.errno import FAILURES, Refusal, errno_of
from wasmoci.wasi.files import File
from wasmoci.wasi.memory import buffers

if TYPE_CHECKING:
    from wasmoci.wasi.host import Host

_MAX_OFFSET = (1 << 63) - 1


class Io:
    """Reading, writing and seeking."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._get = host.table.get

    def fd_read(self, fd: int, iovs: int, iovs_len: int, size: int) -> int:
        """Read into buffers, and write the number of bytes; 0 at the end of the file."""
        try:
            view = self._host.view()
            size &= U32
            if size + 4 > len(view):
                return Errno.FAULT
            entry = self._get(fd, Rights.FD_READ)
            SIZE.pack_into(view, size, entry.readv(buffers(view, iovs, iovs_len)))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_write(self, fd: int, iovs: int, iovs_len: int, size: int) -> int:
        """Write buffers, and write the number of bytes."""
        try:
            view = self._host.view()
            size &= U32
            if size + 4 > len(view):
                return Errno.FAULT
            entry = self._get(fd, Rights.FD_WRITE)
            SIZE.pack_into(view, size, entry.writev(buffers(view, iovs, iovs_len)))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_pread(self, fd: int, iovs: int, iovs_len: int, offset: int, size: int) -> int:
        """Read at an offset of a file, without moving its position."""
        try:
            view = self._host.view()
            size &= U32
            if size + 4 > len(view):
                return Errno.FAULT
            host_fd = self._file(fd, Rights.FD_READ | Rights.FD_SEEK).fd
            done = os.preadv(host_fd, buffers(view, iovs, iovs_len), _offset(offset))
            SIZE.pack_into(view, size, done)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_pwrite(self, fd: int, iovs: int, iovs_len: int, offset: int, size: int) -> int:
        """Write at an offset of a file, or with ``APPEND`` at its end, without moving its position."""
        try:
            view = self._host.view()
            size &= U32
            if size + 4 > len(view):
                return Errno.FAULT
            host_fd = self._file(fd, Rights.FD_WRITE | Rights.FD_SEEK).fd
            done = os.pwritev(host_fd, buffers(view, iovs, iovs_len), _offset(offset))
            SIZE.pack_into(view, size, done)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_seek(self, fd: int, offset: int, whence: int, position: int) -> int:
        """Move the position, and write the new one."""
        try:
            view = self._host.view()
            position &= U32
            if position + 8 > len(view):
                return Errno.FAULT
            if not Whence.SET <= whence <= Whence.END:
                return Errno.INVAL
            offset &= U64
            if offset > _MAX_OFFSET:
                offset -= 1 << 64
            # Querying the position needs only the right to tell.
            asks = whence == Whence.CUR and offset == 0
            entry = self._file(fd, Rights.FD_TELL if asks else Rights.FD_SEEK)
            TIMESTAMP.pack_into(view, position, os.lseek(entry.fd, offset, whence))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_tell(self, fd: int, position: int) -> int:
        """Write the position."""
        try:
            entry = self._file(fd, Rights.FD_TELL)
            TIMESTAMP.pack_into(self._host.view(), position & U32, os.lseek(entry.fd, 0, Whence.CUR))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _file(self, fd: int, right: int) -> File:
        entry = self._get(fd, right)
        if not isinstance(entry, File):  # no other kind ever has the right to seek
            raise Refusal(Errno.SPIPE)
        return entry


def _offset(offset: int) -> int:
    offset &= U64
    if offset > _MAX_OFFSET:
        raise Refusal(Errno.INVAL)
    return offset
