"""Resolves a path one component at a time, without ever letting the kernel follow a link.

This resolves paths through mounts and links that leave the directory where a path starts, and all paths where
``openat2`` is missing. Each directory on the path is opened with ``O_NOFOLLOW`` and kept on a stack, so that ``..``
returns to the directory that was passed, not to the kernel's current parent: a directory that is moved or replaced
during the walk can lead it to another place in the tree, but never out of it. Only the last directories of a long path
are kept open; to return further, the path is walked again.
"""

from __future__ import annotations

import collections
import errno
import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import Errno
from wasmoci.wasi.directory import PASS, Layer, Location, Place, Position
from wasmoci.wasi.errno import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The maximum number of links in one path, as on Linux.
MAX_LINKS = 40

#: The maximum depth of a directory, which bounds the memory of each open directory.
MAX_DEPTH = 4096


#: How many directories of a walk are open at once: a path may have two thousand of them, and the process few
#: descriptors.
_MOST_OPEN = 32


_SHUT = -1  # stands for the descriptor of a directory that is closed for now


def components(path: bytes) -> tuple[list[bytes], bool]:
    """Split a path into its names, and return whether it can only mean a directory (``a/``, ``a/.``, ``a/..``)."""
    names = path.split(b"/")
    return [name for name in names if name and name != b"."], names[-1] in (b"", b".", b"..")


class Walk:
    """One walk through a tree.

    Args:
        layers: The mounts, by position.
        root: The root of the tree.
        start: The directory that the path starts from.
    """

    def __init__(self, layers: Mapping[Position, Layer], root: Place, start: Place) -> None:
        self._layers = layers
        self._root = root
        self._start = start
        self._stack = [_borrowed(start)]
        self._open: collections.deque[int] = collections.deque()  # the indices in the stack of directories to close
        self._above_start = False  # whether the bottom of the stack is the root of the tree instead of the start
        self._links = 0

    def directory(self, names: Iterable[bytes]) -> Place:
        """Open the directory at a path, for traversal only."""
        self._walk(names, must_be_directory=True, follow=True)
        return self._stack.pop()

    def locate(self, names: Iterable[bytes], *, must_be_directory: bool, follow: bool) -> Location:
        """Locate the directory and the name at a path.

        Args:
            names: The path's components; ``..`` among them never leads above the start.
            must_be_directory: Resolve the last component to an open directory as well.
            follow: Follow the last component if it is a link.

        Raises:
            Refusal: ``PERM`` for a ``..`` above the start, ``LOOP`` after too many links, ``NOTDIR``.
            OSError: The kernel reported an error.
        """
        name = self._walk(names, must_be_directory=must_be_directory, follow=follow)
        place = self._stack.pop()
        if name is None:
            return Location(place.fd, b".", place.position, place.layer, place)
        position = (*place.position, name)
        layer = self._layers.get(position)
        if layer is None:
            return Location(place.fd, name, position, place.layer, place)
        return Location(layer.fd, layer.name or b".", position, layer, place)

    def _walk(self, names: Iterable[bytes], *, must_be_directory: bool, follow: bool) -> bytes | None:
        """Walk until only the last directory is on the stack; return the name that follows it."""
        # The names still to be walked in reverse order, each with whether the guest or a link has given it.
        pending = [(name, True) for name in names][::-1]
        try:
            while pending:
                name, is_own = pending.pop()
                if name == b"..":
                    self._up(pending, is_own=is_own)
                    continue
                is_last = not (pending or must_be_directory)
                if is_last and not follow:
                    return name
                target = self._link(name) if is_last else self._down(name)
                if target is not None:
                    inner, names_directory = components(target)
                    must_be_directory |= is_last and names_directory
                    pending += [(part, False) for part in reversed(inner)]
                elif is_last:
                    return name
            return None  # noqa: TRY300 - the end of the loop, not of the try
        except BaseException:
            self._close(self._stack)
            raise
        finally:
            self._close(self._stack[:-1])

    @staticmethod
    def _close(places: Iterable[Place]) -> None:
        for place in places:
            place.close()

    def _restart(self) -> None:
        """Go to the root of the tree."""
        self._close(self._stack)
        self._stack = [_borrowed(self._root)]
        self._open.clear()
        self._above_start = True

    def _up(self, pending: list[tuple[bytes, bool]], *, is_own: bool) -> None:
        """Go to the parent: for the guest's own ``..`` not above the start, for a link's not above the root."""
        if len(self._stack) > 1:
            self._stack.pop().close()
            if self._open and self._open[-1] == len(self._stack):
                self._open.pop()
            if self._stack[-1].fd == _SHUT:
                self._return()
        elif is_own:
            raise Refusal(Errno.PERM)
        elif not self._above_start:  # through the root, because the parents of the start are not open
            pending += [(name, False) for name in reversed((*self._start.position, b".."))]
            self._restart()
            self._count_link()  # the one that led here, so that the detour ends as well

    def _down(self, name: bytes) -> bytes | None:
        """Go to a directory; if the name is a link, stay and return its target."""
        here = self._stack[-1]
        position = (*here.position, name)
        if len(position) > MAX_DEPTH:
            raise Refusal(Errno.NAMETOOLONG)
        layer = self._layers.get(position)
        if layer is not None:
            if layer.name is not None:
                raise Refusal(Errno.NOTDIR)
            self._stack.append(Place(layer.fd, position, layer))
            return None
        try:
            fd = os.open(name, PASS, dir_fd=here.fd)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            target = self._link(name)
            if target is None:
                raise Refusal(Errno.NOTDIR) from None
            return target
        here.layer.admit(fd)
        self._stack.append(Place(fd, position, here.layer, owned=True))
        self._hold(len(self._stack) - 1)
        return None

    def _hold(self, index: int) -> None:
        """Record an entry of the stack as open, and close the first one when there are too many."""
        self._open.append(index)
        if len(self._open) > _MOST_OPEN:
            place = self._stack[self._open.popleft()]
            place.close()
            place.fd = _SHUT

    def _return(self) -> None:
        """Reopen the last directory of the stack, from the nearest one before it that is open."""
        last = len(self._stack) - 1
        nearest = next(index for index in range(last, -1, -1) if self._stack[index].fd != _SHUT)
        for index in range(nearest + 1, last + 1):
            place = self._stack[index]
            fd = os.open(place.position[-1], PASS, dir_fd=self._stack[index - 1].fd)
            place.layer.admit(fd)
            place.fd, place.owned = fd, True
            self._hold(index)

    def _link(self, name: bytes) -> bytes | None:
        """Return the target of a link, and go to the root if it is absolute; ``None`` when the name isn't a link."""
        here = self._stack[-1]
        if (*here.position, name) in self._layers:
            return None
        try:
            target = os.readlink(name, dir_fd=here.fd)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise
        self._count_link()
        if target.startswith(b"/"):
            self._restart()
        return target

    def _count_link(self) -> None:
        self._links += 1
        if self._links > MAX_LINKS:
            raise Refusal(Errno.LOOP)


def _borrowed(place: Place) -> Place:
    return Place(place.fd, place.position, place.layer)
