"""Overlay mounts, by the system calls."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MS_NOSUID, _MS_NODEV = 2, 4
_MNT_DETACH = 2


def mount_overlay(lower: Path, upper: Path, work: Path, target: Path) -> None:
    """Mount ``lower`` with ``upper`` over it.

    Args:
        lower: What is only read.
        upper: An empty directory that takes what is written.
        work: An empty directory on the same file system.
        target: Where it appears.

    Raises:
        OSError: It can't be: no privilege, no overlay, or a file system that can't be one's part.
    """
    paths = (str(lower), str(upper), str(work))
    if any(character in path for path in paths for character in ",:\\"):
        raise OSError(errno.EINVAL, "mount options can't hold such a path", str(target))
    options = "lowerdir={},upperdir={},workdir={}".format(*paths)
    library = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV)
    if library.mount(b"overlay", os.fsencode(target), b"overlay", flags, os.fsencode(options)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


def unmount(target: Path) -> bool:
    """Unmount what is mounted at a path, also when something still uses it; tell whether there was anything."""
    library = ctypes.CDLL(None, use_errno=True)
    return not library.umount2(os.fsencode(target), _MNT_DETACH)


def sync_file_system(fd: int) -> None:
    """Write everything of a file system to its disk."""
    ctypes.CDLL(None, use_errno=True).syncfs(fd)
