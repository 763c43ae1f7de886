"""Mounts and unmounts overlays, by system calls."""

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
    """Mount an overlay of ``upper`` over ``lower``.

    Args:
        lower: The read-only lower directory.
        upper: An empty directory for changes.
        work: An empty directory on the same file system.
        target: The mount point.

    Raises:
        OSError: It isn't possible: no privilege, no overlay support, or an unsuitable file system.
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
    """Unmount a path, even if it is in use; return whether anything was mounted."""
    library = ctypes.CDLL(None, use_errno=True)
    return not library.umount2(os.fsencode(target), _MNT_DETACH)


def sync_file_system(fd: int) -> None:
    """Write all data of a file system to its disk."""
    ctypes.CDLL(None, use_errno=True).syncfs(fd)
