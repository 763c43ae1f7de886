"""Implements ``path_open``."""

# ruff: noqa: PLR0917 - the parameters are those of the witx file

from __future__ import annotations

import os
import stat

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi import memory
from wasmoci.wasi.abi import SIZE, SYMLINK_FOLLOW, U64, Errno, Fdflags, Oflags, Rights
from wasmoci.wasi.directory import Place
from wasmoci.wasi.errno import FAILURES, Refusal, errno_of
from wasmoci.wasi.files import Directory, File
from wasmoci.wasi.filestat import filetype
from wasmoci.wasi.memory import region

if TYPE_CHECKING:
    from wasmoci.wasi.descriptors import Descriptor
    from wasmoci.wasi.host import Host

#: null, zero, full, random and urandom of Linux, as (major, minor): devices that give no access to the host.
_HARMLESS = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)}

_FDFLAGS = (
    (Fdflags.APPEND, os.O_APPEND),
    (Fdflags.DSYNC, getattr(os, "O_DSYNC", os.O_SYNC)),
    (Fdflags.RSYNC, getattr(os, "O_RSYNC", os.O_SYNC)),
    (Fdflags.SYNC, os.O_SYNC),
)


class Open:
    """Opening paths."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._table = host.table

    def path_open(
        self,
        fd: int,
        dirflags: int,
        path: int,
        path_len: int,
        oflags: int,
        rights: int,
        inheriting: int,
        fdflags: int,
        opened: int,
    ) -> int:
        """Open or create the file at a path, and write the number of the new descriptor.

        Of the requested rights, the new descriptor gets those that the directory passes on and that apply to the kind
        of file. It has to be a file, a directory, a FIFO or a harmless device: see ``docs/reference/wasi.md``.
        """
        try:
            view = self._host.view()
            result = region(view, opened, SIZE.size)
            directory = self._table.get(fd, _needed(oflags))
            if not isinstance(directory, Directory):  # no other kind ever has a right for paths
                return Errno.NOTDIR
            name = memory.path(view, path, path_len)
            if dirflags & ~SYMLINK_FOLLOW or fdflags & ~Fdflags.ALL:
                return Errno.INVAL
            rights &= U64
            inheriting &= U64
            if rights & ~directory.inheriting & (Rights.FD_READ | Rights.FD_WRITE):
                return Errno.NOTCAPABLE
            flags = _host_flags(oflags, rights, fdflags)
            self._table.check_room()
            host_fd, position, layer = directory.open(name, flags, follow=bool(dirflags), mode=0o666)
            try:
                self._table.check_host(host_fd)
                status = os.fstat(host_fd)
                inheriting &= directory.inheriting
                if stat.S_ISDIR(status.st_mode):
                    rights &= directory.inheriting & Rights.DIRECTORY
                    place = Place(host_fd, position, layer, owned=True)
                    entry: Descriptor = Directory(place, directory.resolver, rights, inheriting)
                else:
                    rights &= directory.inheriting & Rights.FILE
                    _settle(host_fd, status, fdflags)
                    kind = filetype(status.st_mode)
                    entry = File(host_fd, kind, rights, inheriting, fdflags, read_only=layer.read_only)
            except BaseException:
                os.close(host_fd)
                raise
            SIZE.pack_into(result, 0, self._table.add(entry))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS


def _needed(oflags: int) -> int:
    """Return the rights on the directory that this way of opening needs; refuse invalid ``$oflags``."""
    if oflags & ~Oflags.ALL or (oflags & Oflags.DIRECTORY and oflags & ~Oflags.DIRECTORY):
        raise Refusal(Errno.INVAL)
    needed = Rights.PATH_OPEN
    if oflags & Oflags.CREAT:
        needed |= Rights.PATH_CREATE_FILE
    if oflags & Oflags.TRUNC:
        needed |= Rights.PATH_FILESTAT_SET_SIZE
    return needed


def _host_flags(oflags: int, rights: int, fdflags: int) -> int:
    flags = os.O_RDONLY
    if rights & Rights.FD_WRITE:
        flags = os.O_RDWR if rights & Rights.FD_READ else os.O_WRONLY
    if oflags & Oflags.CREAT:
        flags |= os.O_CREAT
        if oflags & Oflags.EXCL:
            flags |= os.O_EXCL
    if oflags & Oflags.DIRECTORY:
        flags |= os.O_DIRECTORY
    if oflags & Oflags.TRUNC:
        flags |= os.O_TRUNC
    for wasi, host in _FDFLAGS:
        if fdflags & wasi:
            flags |= host
    # Never wait for the other end of a FIFO, and never get a controlling terminal.
    return flags | os.O_NONBLOCK | os.O_NOCTTY


def _settle(fd: int, status: os.stat_result, fdflags: int) -> None:
    """Set whether the open file blocks, as requested, and refuse files that give access to the host itself."""
    if stat.S_ISREG(status.st_mode):
        return
    device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    if stat.S_ISBLK(status.st_mode) or (stat.S_ISCHR(status.st_mode) and device not in _HARMLESS):
        raise Refusal(Errno.ACCES)  # as with the mount option nodev
    os.set_blocking(fd, not fdflags & Fdflags.NONBLOCK)
