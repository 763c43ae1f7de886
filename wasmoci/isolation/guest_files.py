"""Checks for files of a running guest from outside."""

from __future__ import annotations

import contextlib
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.errors import UnsupportedWorkload
from wasmoci.wasi.errno import Refusal
from wasmoci.wasi.file_tree import FileTree, Mount
from wasmoci.wasi.open_tree import OpenTree
from wasmoci.wasi.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.oci.bundle import Bundle


class SharedFiles:
    """The files of one guest that are on the host: its root and its bind mounts.

    Args:
        bundle: Its bundle, Wasm or native.
    """

    def __init__(self, bundle: Bundle) -> None:
        binds = []
        self._unseen: list[tuple[str, str]] = []
        for mount in bundle.spec.mounts:
            destination = posixpath.normpath("/" + mount.destination.lstrip("/"))
            if mount.type == "bind" or {"bind", "rbind"} & set(mount.options):
                source = Path(bundle.spec.directory or bundle.path, mount.source or "").absolute()
                binds.append(Mount(source, destination))
            else:
                self._unseen.append((destination, mount.type or "none"))
        self._tree = FileTree(bundle.rootfs, mounts=tuple(binds))

    def check(self, path: str) -> None:
        """Refuse a path that isn't visible from outside.

        Raises:
            UnsupportedWorkload: It is no absolute guest path, or in a mount that the guest alone sees.
        """
        if not path.startswith("/") or "\0" in path:
            raise UnsupportedWorkload(f"{path!r} can't be waited for; an absolute guest path was expected")
        for destination, kind in self._unseen:
            if f"{posixpath.normpath(path)}/".startswith(f"{destination}/"):
                raise UnsupportedWorkload(
                    f"{path} can't be waited for: it is in the {kind} mount at {destination}, which the guest alone sees",
                    hint="bind a directory of the host there",
                )

    def exist(self, path: str) -> bool:
        """Return whether the path exists now; links are resolved within the guest's files, as for the guest."""
        with contextlib.suppress(OSError, Refusal), self._resolver() as resolver:
            descriptor, _, _ = resolver.open(
                resolver.tree.root, os.fsencode(path.lstrip("/")) or b".", os.O_PATH, follow=True
            )
            os.close(descriptor)
            return True
        return False

    @contextlib.contextmanager
    def _resolver(self) -> Iterator[Resolver]:
        with contextlib.closing(OpenTree(self._tree)) as tree:
            yield Resolver(tree)
