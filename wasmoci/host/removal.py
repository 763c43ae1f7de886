"""Removes a directory tree that a guest or another user has created, and may still be changing.

A guest determines what a tree looks like: its depth and width, the names and modes in it. And the guest, or another
user, may rename things in it while it is being removed. Therefore:

* Only one directory and the tree's root are open at a time. The way up is ``..``, which is followed only if it leads to
  the directory that the walk came from; otherwise the removal restarts at the root.
* A name is looked up in the open directory only, and never followed, so neither a link nor a rename leads anywhere
  else.
* A mount point, or anything on another file system, is an error and is left alone: it may be the host's own.
* A directory is listed while it is emptied, so its size doesn't matter. Files that are added meanwhile cause another
  listing.
* A directory of ours that lacks permissions gets them.
* What can't be removed is left; everything else is removed, and the first error is raised.

This module imports nothing else of the package, so that a process that only removes a tree starts quickly.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASS = getattr(os, "O_PATH", 0) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
_REPLACED = (errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
"""The errors that occur where a file of another kind has taken the name since it was read."""

_MOST_AT_ONCE = 1024  # subdirectories remembered per directory; a larger one is listed again
_MOST_KEPT = 1 << 16  # the same for the whole tree
_MOST_RETRIES = 200
_MOST_FAILURES = 1000
_SHOWN = 16  # components of a path in an error, at either end


def remove_tree(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
    """Remove a file, a link, or a directory with everything in it.

    This uses neither recursion nor a descriptor per level: three descriptors and, for each level, about 300 bytes of
    memory.

    Args:
        path: Its host path. The directories above it are the caller's, and links among them are followed.
        dir_fd: The descriptor of the directory that a relative path starts from.

    Raises:
        FileNotFoundError: The path doesn't exist.
        OSError: Something in it can't be removed, such as a mount point or an immutable file, or another process keeps
            adding files. Everything else is removed.
    """
    if not stat.S_ISDIR(os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode):
        os.unlink(path, dir_fd=dir_fd)
        return
    try:
        os.rmdir(path, dir_fd=dir_fd)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
    else:
        return
    _Removal(os.fspath(path), dir_fd).run()


class _Level:
    """A directory on the path from the root of the tree to the open one.

    Args:
        name: Its name in the one above.
        status: Its ``stat`` result. An inode number may be reused after a removal, but rarely by another user at the
            same time.
    """

    __slots__ = ("again", "failed", "inode", "name", "owner", "pending")

    def __init__(self, name: str, status: os.stat_result) -> None:
        self.name = name
        self.inode = status.st_ino
        self.owner = status.st_uid
        self.pending: list[tuple[str, int]] = []  # subdirectories that aren't empty, with their inode numbers
        self.again = False  # whether there may be more of them
        self.failed: set[str] | None = None  # names that can't be removed


class _Removal:
    def __init__(self, path: str, dir_fd: int | None) -> None:
        self._path = path
        self._dir_fd = dir_fd
        self._error: OSError | None = None
        self._failures = self._retries = self._kept = 0
        self._mount: bytes | None = None
        self._root = self._fd = -1
        self._levels: list[_Level] = []

    def run(self) -> None:
        self._root = _enter(self._path, self._dir_fd)
        try:
            status = os.fstat(self._root)
            self._device = status.st_dev
            _permit(self._root, status)
            self._levels.append(_Level(self._path, status))
            self._fd = os.dup(self._root)
            while True:
                self._empty()
                try:
                    os.rmdir(self._path, dir_fd=self._dir_fd)
                except FileNotFoundError:
                    pass
                except OSError as error:
                    if error.errno in _NOT_EMPTY and not self._levels[0].failed:
                        self._start_over()  # files have been added meanwhile
                        continue
                    self._error = self._error or error
                break
        finally:
            for descriptor in (self._root, self._fd):
                if descriptor >= 0:
                    os.close(descriptor)
        if self._error is not None:
            raise self._error

    def _empty(self) -> None:
        """Remove the contents of the root of the tree."""
        self._list()
        while True:
            level = self._levels[-1]
            if level.pending:
                self._kept -= 1
                self._descend(*level.pending.pop())
            elif level.again:
                self._list()
            elif len(self._levels) > 1:
                self._ascend()
            else:
                return

    def _list(self) -> None:
        """Remove the contents of the open directory, except for directories that aren't empty."""
        level = self._levels[-1]
        level.again = False
        try:
            with os.scandir(self._fd) as entries:
                for entry in entries:
                    if level.failed is not None and entry.name in level.failed:
                        continue
                    self._remove(level, entry)
        except OSError as error:
            self._failed(level, "", error)

    def _remove(self, level: _Level, entry: os.DirEntry[str]) -> None:
        is_directory = False
        try:
            is_directory = entry.is_dir(follow_symlinks=False)
            if is_directory:
                # Tried first: for a mount point the kernel reports that it is one, whatever it contains.
                os.rmdir(entry.name, dir_fd=self._fd)
            else:
                os.unlink(entry.name, dir_fd=self._fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            # The contents of a directory that has to stay may still be removed.
            if is_directory and error.errno in (*_NOT_EMPTY, errno.EPERM, errno.EACCES):
                self._postpone(level, entry)
            else:
                self._failed(level, entry.name, error)

    def _postpone(self, level: _Level, entry: os.DirEntry[str]) -> None:
        if level.pending and (len(level.pending) >= _MOST_AT_ONCE or self._kept >= _MOST_KEPT):
            level.again = True
            return
        level.pending.append((entry.name, entry.inode()))
        self._kept += 1

    def _descend(self, name: str, inode: int) -> None:
        level = self._levels[-1]
        try:
            fd = _enter(name, self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            self._failed(level, name, error)
            return
        try:
            status = os.fstat(fd)
            problem = None
            if status.st_dev != self._device or (status.st_ino != inode and not self._is_same_mount(fd)):
                problem = OSError(errno.EXDEV, "is another file system")
            else:
                _permit(fd, status)
                os.stat(".", dir_fd=fd)  # where a look-up in it isn't permitted, the way back isn't either
        except OSError as error:
            problem = error
        if problem is not None:
            os.close(fd)
            self._failed(level, name, problem)
            return
        os.close(self._fd)
        self._fd = fd
        self._levels.append(_Level(name, status))
        self._list()

    def _ascend(self) -> None:
        level = self._levels.pop()
        above = self._levels[-1]
        try:
            fd = os.open("..", _READ, dir_fd=self._fd)
        except OSError:  # the directory is gone, or doesn't belong to us any more
            self._start_over()
            return
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino, status.st_uid) != (self._device, above.inode, above.owner):
            os.close(fd)
            self._start_over()
            return
        os.close(self._fd)
        self._fd = fd
        try:
            os.rmdir(level.name, dir_fd=fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                self._failed(above, level.name, error)
            elif level.failed:
                _keep(above, level.name)
            else:
                self._retry(error)
                above.again = True

    def _start_over(self) -> None:
        """Return to the root of the tree, from wherever a rename has moved the open directory."""
        self._retry(OSError(errno.EBUSY, "is changed while it is removed", self._path))
        root = self._levels[0]
        root.pending.clear()
        self._kept = 0
        root.again = True
        self._levels[1:] = []
        os.close(self._fd)
        self._fd = -1
        self._fd = os.dup(self._root)

    def _retry(self, error: OSError) -> None:
        self._retries += 1
        if self._retries > _MOST_RETRIES:
            raise OSError(error.errno, error.strerror, self._path)

    def _failed(self, level: _Level, name: str, error: OSError) -> None:
        """Leave a file in the open directory; the first error is the one that is reported."""
        if error.errno in _REPLACED:
            self._retry(error)
            level.again = True
            return
        _keep(level, name)
        if self._error is None:
            path = "/".join([*self._shown(), name]).rstrip("/")
            self._error = OSError(error.errno, error.strerror, path)
        self._failures += 1
        if self._failures > _MOST_FAILURES:
            raise self._error

    def _shown(self) -> list[str]:
        """Return the path of the open directory, with its middle left out if it is long."""
        names = [level.name for level in self._levels]
        return names if len(names) <= 2 * _SHOWN else [*names[:_SHOWN], "...", *names[-_SHOWN:]]

    def _is_same_mount(self, fd: int) -> bool:
        """Return whether a directory other than the listed one has taken its place by a rename, and not by a mount."""
        if self._mount is None:
            self._mount = _mount_of(self._root)
        return self._mount != b"" and _mount_of(fd) == self._mount


def _keep(level: _Level, name: str) -> None:
    if level.failed is None:
        level.failed = set()
    level.failed.add(name)


def _enter(name: str, dir_fd: int | None) -> int:
    """Open a directory, including one of ours that nobody may read."""
    try:
        return os.open(name, _READ, dir_fd=dir_fd)
    except PermissionError as refused:
        fd = os.open(name, _PASS, dir_fd=dir_fd)
        try:
            # By its descriptor: its name might become a link between two look-ups. fchmod accepts no O_PATH descriptor.
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IRWXU)  # noqa: PTH101
            return os.open(".", _READ, dir_fd=fd)
        except OSError:
            raise refused from None
        finally:
            os.close(fd)


def _permit(fd: int, status: os.stat_result) -> None:
    """Give the owner permission to change a directory."""
    if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with contextlib.suppress(OSError):  # it belongs to another user; the operation that follows reports the error
            os.fchmod(fd, stat.S_IRWXU)


def _mount_of(fd: int) -> bytes:
    """Return the id of the mount that a descriptor is on; empty where it isn't known."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:  # noqa: PTH123  in the loop of a removal
            for line in file:
                if line.startswith(b"mnt_id:"):
                    return line
    except OSError:
        pass
    return b""


def main(path: str) -> NoReturn:
    """Remove a tree, and end the process: for a process that waits for the end of the tree's owner."""
    try:
        remove_tree(path)
    except OSError:
        os._exit(1)
    os._exit(0)
