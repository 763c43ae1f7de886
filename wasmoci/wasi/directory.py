"""Places in a tree of files: open directories that know where they are and what they belong to."""

from __future__ import annotations

import os
import stat

from wasmoci.wasi import kernel_filesystems
from wasmoci.wasi.abi import Errno, Filetype
from wasmoci.wasi.errno import Refusal

#: Names from the root of the tree downwards.
Position = tuple[bytes, ...]

#: To pass through a directory, and to look at one. O_PATH needs no permission to read; elsewhere O_RDONLY has to do.
PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Layer:
    """What one part of a tree is made of: the root, a mount, or a directory that leads to a mount only.

    Args:
        fd: The open directory; for the mount of a single file the directory that the file is in.
        read_only: Whether every write is refused.
        name: The file's name in its directory; ``None`` for a directory.

    ``inode`` and ``filetype`` are what a listing shows of it, ``device`` is the file system that it starts on.
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
        """Refuse what was opened on a way through this when it is the kernel's; close it then.

        A file of the file system that the layer starts on is none: the layer itself would have been refused.

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
        position: Where it is; with symbolic links in it when the tree has no mounts, for then nobody needs to know.
        layer: What it belongs to.
        owned: Whether the descriptor is closed with the place.
    """

    __slots__ = ("fd", "layer", "owned", "position")

    def __init__(self, fd: int, position: Position, layer: Layer, *, owned: bool = False) -> None:
        self.fd = fd
        self.position = position
        self.layer = layer
        self.owned = owned

    def close(self) -> None:
        """Close the descriptor if it is the place's own."""
        if self.owned:
            self.owned = False
            os.close(self.fd)


class Location:
    """Where a path leads: a name in an open directory.

    Args:
        fd: The directory's descriptor.
        name: The name in it, to be used without following links; ``.`` for the directory itself.
        position: The place in the tree.
        layer: What it belongs to.
        parent: What was opened to get here.
    """

    __slots__ = ("_parent", "fd", "from_root", "layer", "name", "position", "spelled")

    def __init__(self, fd: int, name: bytes, position: Position, layer: Layer, parent: Place | None = None) -> None:
        self.fd = fd
        self.name = name
        self.position = position
        self.layer = layer
        #: The name as the guest spelled it: for a call that never follows the last component, with a slash if there
        #: was one, for the kernel to judge.
        self.spelled = name
        #: It wasn't found where the path starts, but from the root of the tree.
        self.from_root = False
        self._parent = parent

    def is_link(self) -> bool:
        """Tell whether there is a symbolic link here."""
        return self._type() == stat.S_IFLNK

    def exists(self) -> bool:
        """Tell whether there is anything here; a link counts, wherever it leads."""
        return self._type() is not None

    def status(self) -> os.stat_result:
        """Give the metadata of what is here; a link counts.

        Raises:
            Refusal: ``ACCES`` where a file system of the kernel's is mounted.
            OSError: What the kernel says.
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
        """Refuse to make something here: in the place of a mounted file, and, with ``NOTDIR``, of a file by a slash."""
        if self.layer.name is not None:  # even when the host has taken the file away
            raise Refusal(Errno.EXIST)
        if self.spelled != self.name and self._type() not in (None, stat.S_IFDIR):
            raise Refusal(Errno.NOTDIR)

    def close(self) -> None:
        """Close what was opened to get here."""
        if self._parent is not None:
            self._parent.close()
