"""Gives a container a writable root file system: an overlay on the shared one where possible, otherwise a copy."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

from wasmoci.image.storage.overlay import mount_overlay, unmount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FICLONE = 0x40049409
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MERGED = "merged"


@contextlib.contextmanager
def private_copy(shared: Path, scratch: Path) -> Iterator[Path]:
    """Create a root file system that can be written to without changing the shared one.

    Args:
        shared: The root file system on the host, which isn't changed.
        scratch: An empty directory of the caller's, who has to remove it afterwards.

    Yields:
        The host path of the root file system, within ``scratch``.

    Raises:
        OSError: It can't be copied.
    """
    target = scratch / _MERGED
    target.mkdir()
    if os.geteuid() == 0 and _try_overlay(shared, scratch, target):
        try:
            yield target
        finally:
            unmount(target)
        return
    copy_tree(shared, target)
    yield target


def release(scratch: Path) -> None:
    """Unmount what a killed process left of :func:`private_copy`, so that ``scratch`` can be removed."""
    unmount(scratch / _MERGED)


def _try_overlay(shared: Path, scratch: Path, target: Path) -> bool:
    upper, work = scratch / "upper", scratch / "work"
    try:
        upper.mkdir()
        work.mkdir()
        # The merged root has the mode, owner and times of the upper one.
        found = shared.stat()
        upper.chmod(stat.S_IMODE(found.st_mode))
        os.chown(upper, found.st_uid, found.st_gid)
        os.utime(upper, ns=(found.st_atime_ns, found.st_mtime_ns))
        mount_overlay(shared, upper, work, target)
    except OSError:
        return False
    return True


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory's content with modes, owners, times, attributes, links and holes, using reflinks where possible.

    Args:
        source: The directory, on the host; no link in it is followed.
        target: An empty directory; it gets the source's metadata.

    Raises:
        OSError: A file can't be read or written.
    """
    source_fd, target_fd = os.open(source, _DIRECTORY), os.open(target, _DIRECTORY)
    try:
        _Copier(target_fd).directory(source_fd, target_fd, ())
    finally:
        os.close(source_fd)
        os.close(target_fd)


class _Copier:
    def __init__(self, root: int) -> None:
        self._root = root
        self._links: dict[tuple[int, int], str] = {}
        self._owner = os.geteuid() == 0
        self._reflink = True

    def directory(self, source: int, target: int, path: tuple[str, ...]) -> None:
        with os.scandir(source) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                os.mkdir(name, 0o700, dir_fd=target)
                inner, made = os.open(name, _DIRECTORY, dir_fd=source), os.open(name, _DIRECTORY, dir_fd=target)
                try:
                    self.directory(inner, made, (*path, name))
                finally:
                    os.close(inner)
                    os.close(made)
            elif stat.S_ISLNK(found.st_mode):
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                if self._owner:
                    os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
                os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=target, follow_symlinks=False)
            elif stat.S_ISREG(found.st_mode):
                self._regular(source, target, name, found, path)
        self._metadata(source, target, os.fstat(source))

    def _regular(self, source: int, target: int, name: str, found: os.stat_result, path: tuple[str, ...]) -> None:
        inode = (found.st_dev, found.st_ino)
        if found.st_nlink > 1 and inode in self._links:
            os.link(self._links[inode], name, src_dir_fd=self._root, dst_dir_fd=target, follow_symlinks=False)
            return
        self._links[inode] = "/".join((*path, name))
        reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            writer = os.open(name, flags, 0o600, dir_fd=target)
            try:
                self._data(reader, writer, found.st_size)
                self._metadata(reader, writer, found)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def _data(self, reader: int, writer: int, size: int) -> None:
        if self._reflink and size:
            try:
                fcntl.ioctl(writer, _FICLONE, reader)
            except OSError:
                self._reflink = False
            else:
                return
        os.ftruncate(writer, size)
        end = 0
        while end < size:
            try:
                start = os.lseek(reader, end, os.SEEK_DATA)
                end = os.lseek(reader, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # only a hole is left
                    return
                start, end = end, size
            os.lseek(reader, start, os.SEEK_SET)
            os.lseek(writer, start, os.SEEK_SET)
            while start < end and (sent := os.sendfile(writer, reader, None, min(end - start, 1 << 30))):
                start += sent

    def _metadata(self, source: int, target: int, found: os.stat_result) -> None:
        if self._owner:
            os.fchown(target, found.st_uid, found.st_gid)
        with contextlib.suppress(OSError):  # the file system may not support attributes
            for key in os.listxattr(source):
                if key.startswith("user.") or (self._owner and key == "security.capability"):
                    os.setxattr(target, key, os.getxattr(source, key))
        os.fchmod(target, stat.S_IMODE(found.st_mode))
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
