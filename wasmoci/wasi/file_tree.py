"""Describes a guest's file system (root, mounts and preopens) without opening anything."""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    HostPath: TypeAlias = str | os.PathLike[str]


class Mount(NamedTuple):
    """A directory or a single file of the host, mounted in a :class:`FileTree`.

    Args:
        source: Host path of the directory or file.
        destination: Guest path, absolute. If it doesn't exist, the guest sees it all the same.
        read_only: Refuse every write.
    """

    source: HostPath
    destination: str
    read_only: bool = False


class FileTree(NamedTuple):
    """A tree of files, as a container sees it: a root directory with mounts on it.

    A later mount covers an earlier one at the same path. Symbolic links, including absolute ones, are resolved within
    the tree, however the guest reaches them; nothing outside the root and the sources of the mounts is accessible.

    Args:
        root: Host path of the directory that is ``/``.
        read_only: Refuse every write, outside of mounts that are writable.
        mounts: The mounts, in order.
    """

    root: HostPath
    read_only: bool = False
    mounts: Sequence[Mount] = ()

    def preopens(self, cwd: str = "/", *, told: bool = False, root_literals: tuple[int, int] = (0, 0)) -> list[Preopen]:
        """Return the preopens that a container has: ``/`` and each mounted directory.

        A current directory that isn't ``/`` is preopened as ``.``, before ``/`` for programs that take the first preopen for it. The C
        library of WASI takes the last one of ``/`` and ``.``, and the longest name that a path begins with, and for both
        it has cut the slash off the path. Unless the guest's library knows the current directory, ``.`` therefore comes once more
        at the end, for the host to find out which of both was meant, and the mounts are reached through it only.

        Args:
            cwd: Guest path of the current directory.
            told: Whether the guest's C library knows the current directory, and asks for absolute paths only.
            root_literals: See :class:`Preopen`.
        """
        root = Preopen.within(self, "/")
        if os.path.normpath(cwd) in ("/", "//"):
            return [root, *self._mounted()]
        current = Preopen.within(self, cwd, guest_path=".")
        if told:
            return [current, root, *self._mounted()]
        return [current, root, current._replace(fallback=True, root_literals=root_literals)]

    def _mounted(self) -> Iterator[Preopen]:
        for index, mount in enumerate(self.mounts):
            is_covered = any(_is_beneath(mount.destination, later.destination) for later in self.mounts[index + 1 :])
            if not is_covered and os.path.isdir(mount.source):  # noqa: PTH112
                yield Preopen.within(self, mount.destination)


class Preopen(NamedTuple):
    """A directory that is open when the guest starts.

    Args:
        host_path: Host path of the directory; :meth:`within` takes it from a tree instead.
        guest_path: The name of the directory for the guest.
        read_only: Refuse every write.
        tree: The tree that the directory belongs to; without one it is a separate tree.
        position: Guest path of the directory in that tree.
        fallback: The guest may mean ``/`` of the tree by this directory; see :meth:`within`.
        root_literals: The addresses from and up to which a path ``.`` means ``/`` of the tree, with ``fallback``: the C library
            of WASI passes a literal of its own for ``/``.
    """

    host_path: HostPath
    guest_path: str
    read_only: bool = False
    tree: FileTree | None = None
    position: str = "/"
    fallback: bool = False
    root_literals: tuple[int, int] = (0, 0)

    @classmethod
    def within(cls, tree: FileTree, position: str, *, guest_path: str | None = None, fallback: bool = False) -> Preopen:
        """Return a preopen of a directory in a tree that several preopens share.

        Args:
            tree: The tree.
            position: Guest path of the directory in the tree.
            guest_path: The name for the guest; ``position`` by default.
            fallback: A path that the guest has spelled with a slash in front of it (:mod:`wasmoci.wasi.spelling`) is looked up
                from ``/``. One that doesn't exist from here, or whose parent doesn't when it is to be created, is looked
                up again from ``/``, because not every guest passes the text that it has spelled. Meant for the preopen ``.``: the C library of
                WASI cuts ``/`` and ``./`` off the names of preopens and ``/`` off every path, and with both ``/`` and ``.`` preopened asks
                the last of them for everything, so ``/etc/passwd`` arrives here as ``etc/passwd``.
        """
        return cls(tree.root, position if guest_path is None else guest_path, tree.read_only, tree, position, fallback)


def _is_beneath(path: str, directory: str) -> bool:
    path, directory = (os.path.normpath(p).lstrip("/") + "/" for p in (path, directory))
    return path.startswith(directory)
