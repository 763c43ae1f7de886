"""Opens files and directories in a root file system, without ever leaving it.

The kernel never resolves a path of more than one component. A parent directory is reached one component at a time
with ``O_NOFOLLOW``; a symbolic link is resolved here with the root file system as its ``/``, so neither an
absolute target nor ``..`` leads out. What is created, linked or removed is a single name in an open directory.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH = 256
MAX_LINKS = 40
_MAX_STEPS = 4096
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Parts = tuple[str, ...]


class Unresolvable(Exception):
    """A path that doesn't lead to a directory in the root file system; its text gives the reason."""


class Rootfs:
    """A root file system to which layers are applied, or in which files are looked up.

    Args:
        fd: Its directory; the caller has to close it.
    """

    def __init__(self, fd: int) -> None:
        self._root = fd
        self._cached: tuple[Parts, Parts, int] | None = None
        self.created: list[Parts] = []

    def parent(self, parts: Sequence[str], *, create: bool = False) -> tuple[int, Parts]:
        """Open the parent directory of an entry.

        Args:
            parts: The components of its guest path.
            create: Create missing directories; they are listed in :attr:`created`.

        Returns:
            Its descriptor, valid until the next call, and its path with all symbolic links resolved.

        Raises:
            FileNotFoundError: It, or a directory above it, doesn't exist.
            Unresolvable: Something on the way is not a directory, too deep, or a loop of links.
        """
        wanted = tuple(parts)
        if self._cached is not None and self._cached[0] == wanted:
            return self._cached[2], self._cached[1]
        self.forget()
        fd, resolved = self._walk(wanted, create=create)
        self._cached = (wanted, resolved, fd)
        return fd, resolved

    def forget(self) -> None:
        """Clear the cache of the last look-up, because a directory or a link was removed."""
        if self._cached is not None:
            os.close(self._cached[2])
            self._cached = None

    def _walk(self, wanted: Parts, *, create: bool) -> tuple[int, Parts]:
        resolved: list[str] = []
        pending = list(reversed(wanted))
        steps = links = 0
        fd = self.reopen(())
        try:
            while pending:
                name = pending.pop()
                steps += 1
                _check(steps, links, len(resolved))
                if name in ("", "."):
                    continue
                if name == "..":
                    # From the root again: this is rare, and needs one descriptor instead of one per level.
                    del resolved[-1:]
                    following = self.reopen(resolved)
                else:
                    step = self._step(fd, name, resolved, create=create)
                    if isinstance(step, str):
                        links += 1
                        pending.extend(reversed(step.split("/")))
                        if not step.startswith("/"):
                            continue
                        resolved.clear()
                        following = self.reopen(())
                    else:
                        resolved.append(name)
                        following = step
                os.close(fd)
                fd = following
        except BaseException:
            os.close(fd)
            raise
        return fd, tuple(resolved)

    def _step(self, fd: int, name: str, resolved: list[str], *, create: bool) -> int | str:
        """Open a directory, or return the target of a symbolic link."""
        try:
            return os.open(name, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            if not create:
                raise
            os.mkdir(name, 0o700, dir_fd=fd)
            self.created.append((*resolved, name))
            return os.open(name, _DIRECTORY, dir_fd=fd)
        except NotADirectoryError:
            if not stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                raise Unresolvable(f"goes through {'/'.join((*resolved, name))!r}, which is not a directory") from None
            return os.readlink(name, dir_fd=fd)

    def reopen(self, resolved: Sequence[str]) -> int:
        """Open a directory by its real path, following no link; the caller has to close the descriptor."""
        fd = os.open(".", _DIRECTORY, dir_fd=self._root)
        for name in resolved:
            try:
                following = os.open(name, _DIRECTORY, dir_fd=fd)
            finally:
                os.close(fd)
            fd = following
        return fd

    def open_file(self, parts: Sequence[str]) -> int | None:
        """Open a regular file for reading; links are resolved inside, including the last one.

        Returns:
            A descriptor, which the caller has to close, or None when there is no such regular file.
        """
        wanted = tuple(part for part in parts if part not in ("", "."))
        for _ in range(MAX_LINKS):
            if not wanted or wanted[-1] == "..":
                return None
            try:
                fd, resolved = self.parent(wanted[:-1])
                found = os.stat(wanted[-1], dir_fd=fd, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    return os.open(wanted[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
                if not stat.S_ISLNK(found.st_mode):
                    return None
                target = os.readlink(wanted[-1], dir_fd=fd)
            except (OSError, Unresolvable):
                return None
            above = () if target.startswith("/") else resolved
            wanted = (*above, *(part for part in target.split("/") if part not in ("", ".")))
        return None


def _check(steps: int, links: int, depth: int) -> None:
    if steps > _MAX_STEPS:
        raise Unresolvable(f"takes more than {_MAX_STEPS} steps to resolve")
    if links > MAX_LINKS:
        raise Unresolvable(f"goes through more than {MAX_LINKS} symbolic links")
    if depth > MAX_DEPTH:
        raise Unresolvable(f"is more than {MAX_DEPTH} directories deep")
