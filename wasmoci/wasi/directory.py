"""Represents open directories of a guest's file tree, with their position and the mount that they belong to."""

from __future__ import annotations

import os
import stat

from wasmoci.wasi import kernel_filesystems
from wasmoci.wasi.abi import Errno, Filetype
from wasmoci.wasi.errno import Refusal

#: Names from the root of the tree downwards.
Position = tuple[bytes, ...]

#: To traverse and to inspect a directory. O_PATH needs no read permission; where it is missing, O_RDONLY has to do.
PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Layer:
    """A layer of a tree: the root, a mount, or a directory that only leads to a mount.

    Args:
        fd: The open directory; for the mount of a single file the directory that the file is in.
        read_only: Whether every write is refused.
        name: The file's name in its directory; ``None`` for a directory.

    ``inode`` and ``filetype`` are what a listing shows, ``device`` is the file system that it starts on.
    """

    __slots__ = ("device", "fd", "filetype", "inode", "name", "read_only")

    def __init__(self, fd: int, *, read_only: bool, name: bytes | None = None) -> None:
        self.fd = fd
        self.read_only = read_only
        self.name = name
        status = os.fstat(fd) if name is None else os.stat(name, dir_fd=fd)
        self.inode = status.st_ino
        self.device = status.st_dev
        self.filetype = Filetype.DIRECTORY if name is None else Filetype.REGULAR_FILE

    def admit(self, fd: int, device: int | None = None) -> None:
        """Refuse (and close) a file that was reached through this layer if it belongs to the kernel's file systems.

        A file on the file system that the layer starts on doesn't: the layer itself would have been refused.

        Args:
            fd: The descriptor.
            device: Its ``st_dev``, where that is known.
        """
        try:
            if (os.fstat(fd).st_dev if device is None else device) != self.device:
                kernel_filesystems.refuse(fd)
        except BaseException:
            os.close(fd)
            raise


class Place:
    """An open directory of a tree.

    Args:
        fd: Its descriptor.
        position: Its path in the tree; it may contain symbolic links if the tree has no mounts, as it isn't needed
            then.
        layer: The layer that it belongs to.
        owned: Whether the descriptor is closed with this object.
    """

    __slots__ = ("fd", "layer", "owned", "position")

    def __init__(self, fd: int, position: Position, layer: Layer, *, owned: bool = False) -> None:
        self.fd = fd
        self.position = position
        self.layer = layer
        self.owned = owned

    def close(self) -> None:
        """Close the descriptor if this object owns it."""
        if self.owned:
            self.owned = False
            os.close(self.fd)


class Location:
    """The result of resolving a path: a name in an open directory.

    Args:
        fd: The directory's descriptor.
        name: The name in it, to be used without following links; ``.`` for the directory itself.
        position: The position in the tree.
        layer: The layer that it belongs to.
        parent: The directory that was opened to get here.
    """

    __slots__ = ("_parent", "fd", "layer", "name", "position", "spelled")

    def __init__(self, fd: int, name: bytes, position: Position, layer: Layer, parent: Place | None = None) -> None:
        self.fd = fd
        self.name = name
        self.position = position
        self.layer = layer
        #: The name as the guest spelled it, for a call that never follows the last component: with its trailing slash,
        #: if any, so that the kernel can decide about that.
        self.spelled = name
        self._parent = parent

    def __enter__(self) -> Location:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_link(self) -> bool:
        """Return whether there is a symbolic link here."""
        return self._type() == stat.S_IFLNK

    def exists(self) -> bool:
        """Return whether there is anything here; a link counts, even if it is dangling."""
        return self._type() is not None

    def status(self) -> os.stat_result:
        """Return the metadata of the file here; links are not followed.

        Raises:
            Refusal: ``ACCES`` where a file system of the kernel's is mounted.
            OSError: The kernel reported an error.
        """
        status = os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)
        if status.st_dev != self.layer.device:
            fd = os.open(self.name, getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
            self.layer.admit(fd)
            os.close(fd)
        return status

    def _type(self) -> int | None:
        try:
            return stat.S_IFMT(os.stat(self.name, dir_fd=self.fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return None

    def refuse_new(self) -> None:
        """Refuse to create a file in place of a mounted one or, with ``NOTDIR``, with a slash after its name."""
        if self.layer.name is not None:  # even if the host has removed the file
            raise Refusal(Errno.EXIST)
        if self.spelled != self.name and self._type() not in (None, stat.S_IFDIR):
            raise Refusal(Errno.NOTDIR)

    def close(self) -> None:
        """Close the directory that was opened to get here."""
        if self._parent is not None:
            self._parent.close()
