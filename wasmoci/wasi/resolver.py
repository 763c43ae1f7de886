"""Resolves a guest's paths, in one system call (``openat2``) where possible, otherwise component by component."""

from __future__ import annotations

import errno
import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import Errno
from wasmoci.wasi.directory import PASS, Layer, Location, Place, Position
from wasmoci.wasi.errno import Refusal
from wasmoci.wasi.path_walk import MAX_DEPTH, Walk, components

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.wasi.open_tree import OpenTree

#: A position from the kernel's resolution contains names as the guest wrote them, such as that of a link to ``.``. To
#: keep it from growing indefinitely, a position that gets longer than this is resolved by a walk, which leaves only
#: real directories.
_PLAIN_DEPTH = 256

#: Errors of openat2 for paths that it can't decide: those with links, that leave the directory, or that change.
_UNDECIDED = {errno.ELOOP, errno.EXDEV, errno.EAGAIN}

#: Errors that may come from the file itself, or from a seccomp filter that was installed later.
_FORBIDDEN = {errno.EPERM, errno.ENOSYS}


class Resolver:
    """Resolves paths in one tree.

    ``openat2`` is tried first. From the root of a tree without mounts it resolves with ``RESOLVE_IN_ROOT``, so absolute
    links stay inside; from another directory with ``RESOLVE_BENEATH``, and a path that turns out to leave it through a
    link is walked. In a tree with mounts, which the kernel doesn't know, it is used for the paths that contain neither
    a link nor a mount. A path with ``..`` is always walked.

    Args:
        tree: The open tree.
        use_openat2: ``False`` walks every path, as on kernels without ``openat2``.
    """

    def __init__(self, tree: OpenTree, *, use_openat2: bool = True) -> None:
        self.tree = tree
        self._openat2 = None
        if use_openat2:
            try:
                from wasmoci.wasi import syscalls  # noqa: PLC0415  ctypes, which a sub-interpreter may lack
            except ImportError:  # no ctypes, as in a sub-interpreter of Python 3.12 with a GIL of its own
                return
            if syscalls.openat2_available():
                self._openat2 = syscalls.openat2
                self._still_available = syscalls.openat2_available
                self._same_mount = syscalls.RESOLVE_NO_XDEV
                self._in_root = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
                self._beneath = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS
                self._plain = self._beneath | syscalls.RESOLVE_NO_SYMLINKS

    def open(
        self, start: Place, path: bytes, flags: int, *, follow: bool, mode: int = 0
    ) -> tuple[int, Position, Layer]:
        """Open the file at a path; return its descriptor, its position and its layer.

        Args:
            start: The directory that the path starts from.
            path: The guest's path.
            flags: As for ``open(2)``; flags that write are refused where that is not allowed.
            follow: Follow the last component if it is a link.
            mode: The permissions of a file that is created.

        Raises:
            Refusal: ``PERM`` for a path that leaves ``start`` by itself, and for a write to something read-only;
            ``ACCES`` for a file of the kernel's file systems.
            OSError: The kernel reported an error.
        """
        names, must_be_directory = components(path)
        _refuse_absolute(path)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            follow = False  # an existing file, even a link, is an error
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if writes and self.tree.immutable:
            raise Refusal(Errno.PERM)
        if not (writes and start.layer.read_only):
            flags_here = flags if follow else flags | os.O_NOFOLLOW
            fd = self._at_once(start, names, path, flags_here, mode)
            if fd is not None:
                return fd, start.position + tuple(names), start.layer
        if flags & os.O_CREAT and _names_with_slash(path):
            # Like the kernel, create no file by such a name, but report other errors first.
            self._walk(start).locate(names, must_be_directory=False, follow=follow).close()
            raise Refusal(Errno.ISDIR)
        location = self._walk(start).locate(names, must_be_directory=must_be_directory, follow=follow)
        try:
            if writes and location.layer.read_only:
                raise Refusal(Errno.PERM)
            if len(location.position) > MAX_DEPTH:
                raise Refusal(Errno.NAMETOOLONG)
            if location.layer.name is not None:  # a mounted file exists, or was removed by the host
                flags &= ~os.O_CREAT
            fd = os.open(location.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=location.fd)
            location.layer.admit(fd)
            return fd, location.position, location.layer
        finally:
            location.close()

    def locate(self, start: Place, path: bytes, *, follow: bool) -> Location:
        """Locate the directory and the name of an existing file.

        A path that ends in a slash means a directory, and a link before that slash is followed.
        """
        names, must_be_directory = components(path)
        _refuse_absolute(path)
        if must_be_directory:
            place = self.directory(start, names) if names else None
            here = place or start
            return Location(here.fd, b".", here.position, here.layer, place)
        location = self._child(start, names)
        if not follow or not location.is_link():
            return location
        location.close()
        return self._walk(start).locate(names, must_be_directory=False, follow=True)

    def locate_new(self, start: Place, path: bytes) -> Location:
        """Locate the directory and the name of a file to be created, replaced or removed; a final link isn't followed.

        A trailing slash stays with the name: the kernel decides whether it is permitted.
        """
        names, must_be_directory = components(path)
        _refuse_absolute(path)
        if not names or names[-1] == b"..":
            return self.locate(start, path, follow=False)
        location = self._child(start, names)
        if must_be_directory and location.name != b".":
            location.spelled += b"/"
        return location

    def directory(self, start: Place, names: list[bytes]) -> Place:
        """Open the directory at a path, for traversal only."""
        fd = self._at_once(start, names, b"/".join(names), PASS & ~os.O_NOFOLLOW)
        if fd is None:
            return self._walk(start).directory(names)
        return Place(fd, start.position + tuple(names), start.layer, owned=True)

    def _child(self, start: Place, names: list[bytes]) -> Location:
        """Resolve the last of some names, following links only in the others."""
        *parents, name = names
        parent = self.directory(start, parents) if parents else None
        here = parent or start
        position = (*here.position, name)
        layer = self.tree.layers.get(position)
        if layer is not None:
            return Location(layer.fd, layer.name or b".", position, layer, parent)
        return Location(here.fd, name, position, here.layer, parent)

    def _at_once(self, start: Place, names: list[bytes], path: bytes, flags: int, mode: int = 0) -> int | None:
        """Have the kernel open a path; ``None`` when ``openat2`` is missing or can't decide where the path leads."""
        depth = len(start.position) + len(names)
        if self._openat2 is None or b".." in names or depth > _PLAIN_DEPTH:
            return None
        if self.tree.layers:
            if self.tree.meets_mount(start.position, names):
                return None
            resolve = self._plain
        elif start.position:
            resolve = self._beneath
        else:
            resolve = self._in_root
        try:
            return self._openat2(start.fd, path, flags, resolve | self._same_mount, mode)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return _across(self._openat2, start, path, flags, resolve, mode)
            if error.errno in _UNDECIDED or (error.errno in _FORBIDDEN and not self._still_available(anew=True)):
                return None
            raise

    def _walk(self, start: Place) -> Walk:
        return Walk(self.tree.layers, self.tree.root, start)


def _names_with_slash(path: bytes) -> bool:
    """Return whether a path ends in a name and a slash (``a/``, not ``a/./``)."""
    return path.endswith(b"/") and path.rstrip(b"/").rpartition(b"/")[2] not in (b"", b".", b"..")


def _refuse_absolute(path: bytes) -> None:
    if path.startswith(b"/"):
        raise Refusal(Errno.PERM)


def _across(  # noqa: PLR0917 - as openat2
    openat2: Callable[..., int], start: Place, path: bytes, flags: int, resolve: int, mode: int
) -> int | None:
    """Have the kernel open a path to a kernel's file system; ``None`` when it can't, for whatever reason.

    A guest doesn't learn the kernel's errors for paths in its own file systems; a walk doesn't even enter them.
    """
    try:
        fd = openat2(start.fd, path, flags, resolve, mode)
    except OSError:
        return None
    start.layer.admit(fd)
    return fd
