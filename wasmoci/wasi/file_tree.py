"""Describes a guest's file system (root, mounts and preopens) without opening anything."""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
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

    def preopens(self, cwd: str = "/") -> list[Preopen]:
        """Return the preopens that a container has: ``/``, each mounted directory, then the current one.

        Args:
            cwd: Guest path of the current directory, preopened as ``.`` when it isn't ``/``.
        """
        result = [Preopen.within(self, "/")]
        for index, mount in enumerate(self.mounts):
            is_covered = any(_is_beneath(mount.destination, later.destination) for later in self.mounts[index + 1 :])
            if not is_covered and os.path.isdir(mount.source):  # noqa: PTH112
                result.append(Preopen.within(self, mount.destination))
        if os.path.normpath(cwd) not in ("/", "//"):
            result.append(Preopen.within(self, cwd, guest_path=".", fallback=True))
        return result


class Preopen(NamedTuple):
    """A directory that is open when the guest starts.

    Args:
        host_path: Host path of the directory; :meth:`within` takes it from a tree instead.
        guest_path: The name of the directory for the guest.
        read_only: Refuse every write.
        tree: The tree that the directory belongs to; without one it is a separate tree.
        position: Guest path of the directory in that tree.
        fallback: Paths that don't exist from here are looked up from ``/`` of the tree; see :meth:`within`.
    """

    host_path: HostPath
    guest_path: str
    read_only: bool = False
    tree: FileTree | None = None
    position: str = "/"
    fallback: bool = False

    @classmethod
    def within(cls, tree: FileTree, position: str, *, guest_path: str | None = None, fallback: bool = False) -> Preopen:
        """Return a preopen of a directory in a tree that several preopens share.

        Args:
            tree: The tree.
            position: Guest path of the directory in the tree.
            guest_path: The name for the guest; ``position`` by default.
            fallback: A path that doesn't exist from here, or whose parent doesn't when it is to be created, is looked
                up again from ``/``. Meant for the preopen ``.``: the C library of WASI cuts ``/`` and ``./`` off the
                names of preopens and off every path alike, and with both ``/`` and ``.`` preopened asks the last of
                them for everything, so ``/etc/passwd`` arrives here as ``etc/passwd``.
        """
        return cls(tree.root, position if guest_path is None else guest_path, tree.read_only, tree, position, fallback)


def _is_beneath(path: str, directory: str) -> bool:
    path, directory = (os.path.normpath(p).lstrip("/") + "/" for p in (path, directory))
    return path.startswith(directory)
