"""Opens the directories of a :class:`~wasmoci.wasi.file_tree.FileTree`, ready to resolve a guest's paths."""

from __future__ import annotations

import errno
import os
import stat

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidInput, InvalidMount
from wasmoci.wasi import kernel_filesystems
from wasmoci.wasi.abi import Errno
from wasmoci.wasi.directory import PASS, Layer, Place, Position
from wasmoci.wasi.errno import Refusal
from wasmoci.wasi.path_walk import Walk

if TYPE_CHECKING:
    from wasmoci.wasi.file_tree import FileTree, Mount


class OpenTree:
    """An open tree: its root and its mounts.

    Args:
        tree: The description.

    Raises:
        InvalidInput: The root isn't a directory, or belongs to the kernel's file systems.
        InvalidMount: A mount's source doesn't exist, or belongs to the kernel's file systems, or its destination is
            invalid.
    """

    def __init__(self, tree: FileTree) -> None:
        self._open: list[int] = []
        self.layers: dict[Position, Layer] = {}
        self._kept: set[Position] = set()
        try:
            self.root = Place(self._keep(tree.root), (), Layer(self._open[0], read_only=tree.read_only))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InvalidInput(f"{os.fspath(tree.root)}: the root of a guest's files has to be a directory") from error
        except OSError as error:
            self.close()
            raise InvalidInput(f"{os.fspath(tree.root)}: the root of a guest's files: {error.strerror}") from error
        try:
            for mount in tree.mounts:
                self._mount(mount)
        except BaseException:
            self.close()
            raise
        self._mounted: dict[Position, dict[bytes, Layer]] = {}
        for position, layer in self.layers.items():
            self._mounted.setdefault(position[:-1], {})[position[-1]] = layer
        #: Whether no write can succeed anywhere, which is known without resolving a path.
        self.immutable = all(layer.read_only for layer in (self.root.layer, *self.layers.values()))

    def close(self) -> None:
        """Close every directory that was opened for the tree itself."""
        while self._open:
            os.close(self._open.pop())

    def is_kept(self, position: Position) -> bool:
        """Return whether a file can't be removed or renamed, because it is a mount or has a mount beneath it."""
        return position in self._kept

    def mounted_in(self, position: Position) -> dict[bytes, Layer]:
        """Return the mounts directly in a directory, by name."""
        return self._mounted.get(position, {})

    def meets_mount(self, start: Position, names: list[bytes]) -> bool:
        """Return whether a path without links and ``..`` leads to a mount."""
        position = start
        for name in names:
            position = (*position, name)
            if position in self.layers:
                return True
        return False

    def _keep(self, path: str | bytes | os.PathLike[str]) -> int:
        fd = os.open(path, PASS & ~os.O_NOFOLLOW)
        self._open.append(fd)
        _refuse_kernel(fd)
        return fd

    def _mount(self, mount: Mount) -> None:
        names = os.fsencode(mount.destination).split(b"/")
        names = [name for name in names if name not in (b"", b".")]
        if not mount.destination.startswith("/") or b".." in names or not names:
            raise InvalidMount(
                f"the mount of {os.fspath(mount.source)} goes to {mount.destination!r}, "
                "expected an absolute path in the guest, not / and without .."
            )
        try:
            position = self._settle(names)
            layer = self._layer(mount)
        except (OSError, Refusal) as error:
            reason = (
                error.strerror if isinstance(error, OSError) else "its path leads through a file or a loop of links"
            )
            raise InvalidMount(
                f"{os.fspath(mount.source)} can't be mounted at {mount.destination}: {reason}"
            ) from error
        if not position:
            raise InvalidMount(
                f"{os.fspath(mount.source)} can't be mounted at {mount.destination}: that is a link to the root itself"
            )
        # As on Linux, earlier mounts beneath are covered.
        if position in self._kept:
            self.layers = {p: other for p, other in self.layers.items() if p[: len(position)] != position}
            self._kept = {p[:end] for p in self.layers for end in range(1, len(p) + 1)}
        self._lay(position, layer)

    def _lay(self, position: Position, layer: Layer) -> None:
        self.layers[position] = layer
        while position and position not in self._kept:
            self._kept.add(position)
            position = position[:-1]

    def _layer(self, mount: Mount) -> Layer:
        try:
            return Layer(self._keep(mount.source), read_only=mount.read_only)
        except NotADirectoryError:
            pass  # it is a file
        source = os.path.realpath(os.fsencode(mount.source))
        mode = os.lstat(source).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "the source is neither a directory nor a regular file")
        fd = os.open(source, getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _refuse_kernel(fd)
        finally:
            os.close(fd)
        directory, name = os.path.split(source)
        return Layer(self._keep(directory), read_only=mount.read_only, name=name)

    def _settle(self, names: list[bytes]) -> Position:
        """Return the destination of a mount: follow the links on its path; missing directories become virtual."""
        if self._is_there(names):
            return tuple(names)
        position: Position = ()
        for index, name in enumerate(names):
            walk = Walk(self.layers, self.root, self.root)
            location = walk.locate([*position, name], must_be_directory=False, follow=True)
            try:
                position = location.position
                is_last = index == len(names) - 1
                mode = os.stat(location.name, dir_fd=location.fd, follow_symlinks=False).st_mode
                if not is_last and not stat.S_ISDIR(mode):
                    raise Refusal(Errno.NOTDIR)
            except FileNotFoundError:
                if not is_last:
                    self._lay(position, Layer(self._empty_directory(), read_only=True))
            finally:
                location.close()
        return position

    def _is_there(self, names: list[bytes]) -> bool:
        """Return whether the kernel can open a mount's destination, without a link or another mount on its path."""
        from wasmoci.wasi import syscalls  # noqa: PLC0415  ctypes, which a sub-interpreter may lack

        if not syscalls.openat2_available() or self.meets_mount((), names):
            return False
        resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
        try:
            os.close(syscalls.openat2(self.root.fd, b"/".join(names), PASS & ~os.O_DIRECTORY, resolve))
        except OSError:
            return False
        return True

    def _empty_directory(self) -> int:
        """Open a directory in which nothing can be found or created: a deleted one, unless one was set."""
        if _kept_empty:
            descriptor = os.dup(_kept_empty[0])
            self._open.append(descriptor)
            return descriptor
        from tempfile import mkdtemp  # noqa: PLC0415  5 ms of each start, and seldom needed

        path = mkdtemp(prefix="wasmoci-")
        try:
            fd = os.open(path, PASS)
            self._open.append(fd)
            # Where others may write to the parent directory, they could have replaced it.
            if os.fstat(fd).st_uid != os.geteuid() or os.listdir(f"/proc/self/fd/{fd}"):  # noqa: PTH208
                raise OSError(errno.EPERM, "another user has replaced a temporary directory")
        finally:
            os.rmdir(path)  # noqa: PTH106 - pathlib isn't needed for anything else
        return fd


_kept_empty: list[int] = []


def keep_empty_directory(descriptor: int) -> None:
    """Set an empty directory for all namespaces of this process, to stand for missing ones where none can be created.

    Args:
        descriptor: A descriptor of a directory in which nothing can be created.
    """
    _kept_empty[:] = [descriptor]


def _refuse_kernel(fd: int) -> None:
    name = kernel_filesystems.filesystem_of(fd)
    if name is not None:
        raise OSError(errno.EACCES, f"it is of {name}, a file system of the kernel's, and no guest gets any of that")
