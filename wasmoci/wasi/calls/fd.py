"""Implements ``fd_*`` without input and output: opening state, flags, rights, metadata and preopens of descriptors."""

from __future__ import annotations

import fcntl
import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi import filestat
from wasmoci.wasi.abi import FDSTAT, FILESTAT, PRESTAT, U32, U64, Errno, Fdflags, Rights
from wasmoci.wasi.errno import FAILURES, Refusal, errno_of
from wasmoci.wasi.files import Directory, File
from wasmoci.wasi.memory import region

if TYPE_CHECKING:
    from wasmoci.wasi.host import Host

_ADVICE = ("NORMAL", "SEQUENTIAL", "RANDOM", "WILLNEED", "DONTNEED", "NOREUSE")
_MAX_OFFSET = (1 << 63) - 1


class Fd:
    """The functions on descriptors that neither read nor write."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._table = host.table
        self._get = host.table.get

    def fd_close(self, fd: int) -> int:
        """Close a descriptor; one of the host's standard streams stays open for the host."""
        try:
            self._table.remove(fd)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_renumber(self, fd: int, to: int) -> int:
        """Move a descriptor to the number of another open one, which is closed."""
        try:
            self._table.renumber(fd, to)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_advise(self, fd: int, offset: int, length: int, advice: int) -> int:
        """Tell the kernel how a file will be read."""
        try:
            if not 0 <= advice < len(_ADVICE):
                return Errno.INVAL
            entry = self._file(fd, Rights.FD_ADVISE)
            length &= U64
            if length > _MAX_OFFSET:
                return Errno.INVAL
            if hasattr(os, "posix_fadvise"):
                how = getattr(os, f"POSIX_FADV_{_ADVICE[advice]}")
                os.posix_fadvise(entry.fd, min(offset & U64, _MAX_OFFSET), length, how)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_allocate(self, fd: int, offset: int, length: int) -> int:
        """Allocate space for a part of a file, and extend the file to contain it."""
        try:
            entry = self._file(fd, Rights.FD_ALLOCATE)
            offset, length = offset & U64, length & U64
            if not length or offset + length > _MAX_OFFSET:
                return Errno.INVAL
            from wasmoci.wasi.syscalls import fallocate  # noqa: PLC0415  ctypes, which a sub-interpreter may lack

            fallocate(entry.fd, offset, length)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_sync(self, fd: int) -> int:
        """Write a file's data and metadata to the disk."""
        try:
            os.fsync(self._file(fd, Rights.FD_SYNC).fd)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_datasync(self, fd: int) -> int:
        """Write a file's data to the disk."""
        try:
            getattr(os, "fdatasync", os.fsync)(self._file(fd, Rights.FD_DATASYNC).fd)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_fdstat_get(self, fd: int, stat: int) -> int:
        """Write a descriptor's type, flags and rights."""
        try:
            entry = self._get(fd, 0)
            FDSTAT.pack_into(self._host.view(), stat & U32, entry.filetype, entry.flags, entry.rights, entry.inheriting)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_fdstat_set_flags(self, fd: int, flags: int) -> int:
        """Set ``APPEND`` and ``NONBLOCK``; the flags for synchronous writes can't be changed."""
        try:
            entry = self._get(fd, Rights.FD_FDSTAT_SET_FLAGS)
            if flags & ~Fdflags.ALL or (flags ^ entry.flags) & Fdflags.SYNCHRONOUS:
                return Errno.INVAL
            host_fd = entry.fileno()
            if host_fd is None:
                return Errno.BADF
            host_flags = fcntl.fcntl(host_fd, fcntl.F_GETFL) & ~(os.O_APPEND | os.O_NONBLOCK)
            host_flags |= os.O_APPEND if flags & Fdflags.APPEND else 0
            host_flags |= os.O_NONBLOCK if flags & Fdflags.NONBLOCK else 0
            fcntl.fcntl(host_fd, fcntl.F_SETFL, host_flags)
            entry.flags = flags
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_fdstat_set_rights(self, fd: int, base: int, inheriting: int) -> int:
        """Drop rights; ``NOTCAPABLE`` if the descriptor lacks one of the requested rights."""
        try:
            entry = self._get(fd, 0)
            base, inheriting = base & U64, inheriting & U64
            if base & ~entry.rights or inheriting & ~entry.inheriting:
                return Errno.NOTCAPABLE
            entry.rights = base
            entry.inheriting = inheriting
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_filestat_get(self, fd: int, stat: int) -> int:
        """Write the metadata of an open file; for a stream or socket only its type."""
        try:
            where = region(self._host.view(), stat, FILESTAT.size)
            entry = self._get(fd, Rights.FD_FILESTAT_GET)
            if isinstance(entry, File):
                where[:] = filestat.pack(os.fstat(entry.fd))
            elif isinstance(entry, Directory):
                where[:] = filestat.pack(os.fstat(entry.place.fd))
            else:
                where[:] = FILESTAT.pack(0, 0, entry.filetype, 0, 0, 0, 0, 0)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_filestat_set_size(self, fd: int, size: int) -> int:
        """Truncate or extend a file."""
        try:
            entry = self._file(fd, Rights.FD_FILESTAT_SET_SIZE)
            size &= U64
            if entry.read_only:
                return Errno.PERM
            if size > _MAX_OFFSET:
                return Errno.INVAL
            os.ftruncate(entry.fd, size)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_filestat_set_times(self, fd: int, atim: int, mtim: int, flags: int) -> int:
        """Set the times of access and of modification."""
        try:
            filestat.check_flags(flags)
            entry = self._get(fd, Rights.FD_FILESTAT_SET_TIMES)
            if isinstance(entry, Directory):
                host_fd, read_only = entry.place.fd, entry.place.layer.read_only
            elif isinstance(entry, File):
                host_fd, read_only = entry.fd, entry.read_only
            else:
                return Errno.BADF
            if read_only:
                return Errno.PERM
            filestat.set_times(host_fd, flags, atim, mtim)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_prestat_get(self, fd: int, prestat: int) -> int:
        """Write the length of a preopened directory's name; ``BADF`` for any other descriptor."""
        try:
            entry = self._get(fd, 0)
            if not isinstance(entry, Directory) or entry.guest_path is None:
                return Errno.BADF
            PRESTAT.pack_into(self._host.view(), prestat & U32, 0, len(entry.guest_path))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def fd_prestat_dir_name(self, fd: int, path: int, path_len: int) -> int:
        """Write the name of a preopened directory."""
        try:
            entry = self._get(fd, 0)
            if not isinstance(entry, Directory) or entry.guest_path is None:
                return Errno.NOTDIR
            if len(entry.guest_path) > path_len & U32:
                return Errno.NAMETOOLONG
            region(self._host.view(), path, len(entry.guest_path))[:] = entry.guest_path
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _file(self, fd: int, right: int) -> File:
        entry = self._get(fd, right)
        if not isinstance(entry, File):
            raise Refusal(Errno.BADF)
        return entry
