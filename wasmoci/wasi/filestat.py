"""Converts the host's ``stat`` to ``$filestat``, and sets the times of files."""

from __future__ import annotations

import os
import stat
import time

from wasmoci.wasi.abi import FILESTAT, U64, Errno, Filetype, Fstflags
from wasmoci.wasi.errno import Refusal

#: Sockets and FIFOs have no type of their own here; wasmtime reports both as unknown.
_FILETYPES = {
    stat.S_IFREG: Filetype.REGULAR_FILE,
    stat.S_IFDIR: Filetype.DIRECTORY,
    stat.S_IFLNK: Filetype.SYMBOLIC_LINK,
    stat.S_IFCHR: Filetype.CHARACTER_DEVICE,
    stat.S_IFBLK: Filetype.BLOCK_DEVICE,
}


def filetype(mode: int) -> int:
    """Return the ``$filetype`` of a host's ``st_mode``."""
    return _FILETYPES.get(stat.S_IFMT(mode), Filetype.UNKNOWN)


def pack(status: os.stat_result) -> bytes:
    """Return the ``$filestat`` of a host's ``stat`` result."""
    return FILESTAT.pack(
        status.st_dev & U64,
        status.st_ino & U64,
        filetype(status.st_mode),
        status.st_nlink,
        status.st_size,
        status.st_atime_ns & U64,
        status.st_mtime_ns & U64,
        status.st_ctime_ns & U64,
    )


def check_flags(flags: int) -> None:
    """Refuse invalid ``$fstflags``: unknown bits, and a time that is both given and now."""
    both = (Fstflags.ATIM | Fstflags.ATIM_NOW, Fstflags.MTIM | Fstflags.MTIM_NOW)
    if flags & ~Fstflags.ALL or any(flags & mask == mask for mask in both):
        raise Refusal(Errno.INVAL)


def set_times(target: int | bytes, flags: int, atim: int, mtim: int, *, dir_fd: int | None = None) -> None:
    """Set the times that the flags select.

    Args:
        target: The host's descriptor, or a name in the directory ``dir_fd``, which is not followed.
        flags: Valid ``$fstflags``.
        atim: The time of access, in nanoseconds.
        mtim: The time of modification, in nanoseconds.
        dir_fd: The directory of a name.

    Raises:
        OSError: The kernel reported an error.
    """
    follow = isinstance(target, int)
    if flags == Fstflags.ATIM_NOW | Fstflags.MTIM_NOW:
        # The current time needs write permission; any other time needs the owner.
        os.utime(target, dir_fd=dir_fd, follow_symlinks=follow)
        return
    current = os.stat(target, dir_fd=dir_fd, follow_symlinks=follow)
    if not flags:
        return
    now = time.time_ns()

    def choose(given: int, at_now: int, value: int, old: int) -> int:
        return value & U64 if flags & given else now if flags & at_now else old

    chosen = (
        choose(Fstflags.ATIM, Fstflags.ATIM_NOW, atim, current.st_atime_ns),
        choose(Fstflags.MTIM, Fstflags.MTIM_NOW, mtim, current.st_mtime_ns),
    )
    os.utime(target, ns=chosen, dir_fd=dir_fd, follow_symlinks=follow)
