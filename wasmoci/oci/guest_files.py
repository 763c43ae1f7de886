"""Describes the files that a guest sees: its root file system, and the mounts on it. Nothing is opened."""

from __future__ import annotations

import contextlib

from wasmoci import host
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.file_tree import FileTree
from wasmoci.wasi.file_tree import Mount as TreeMount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@attrs.frozen(kw_only=True)
class GuestMount:
    """A mount that the guest sees.

    Args:
        destination: An absolute guest path, normalised.
        source: A host path; None for a tmpfs, or an empty file, that hasn't been created yet.
        read_only: Whether the guest may only read it.
        is_file: Whether it is a single file.
    """

    destination: str
    source: Path | None
    read_only: bool
    is_file: bool = False


@attrs.frozen(kw_only=True)
class GuestFiles:
    """The guest's file system.

    Args:
        rootfs: The host directory that is the guest's ``/``.
        read_only: Whether the guest may only read it. Mounts have their own flag.
        cwd: The working directory, an absolute guest path, normalised.
        mounts: In the order in which they are mounted; none hides another one completely.
        omitted: The destinations of mounts that were left out, with the type of the kernel's file system.
    """

    rootfs: Path
    read_only: bool
    cwd: str
    mounts: tuple[GuestMount, ...] = ()
    omitted: tuple[tuple[str, str], ...] = ()

    @property
    def has_file_mounts(self) -> bool:
        """Whether a mount is a single file."""
        return any(mount.is_file for mount in self.mounts)

    @property
    def tree(self) -> FileTree:
        """The same for the WASI host; each tmpfs needs its directory (:meth:`materialise`)."""
        mounts = (
            TreeMount(mount.source, mount.destination, mount.read_only)
            for mount in self.mounts
            if mount.source is not None
        )
        return FileTree(self.rootfs, self.read_only, tuple(mounts))

    def materialise(self) -> AbstractContextManager[GuestFiles]:
        """Create a directory for each tmpfs, and each empty file, until the end; yields the same files with these."""
        if all(mount.source is not None for mount in self.mounts):
            return contextlib.nullcontext(self)
        return self._with_directories()

    @contextlib.contextmanager
    def _with_directories(self) -> Iterator[GuestFiles]:
        with host.guest_temporary_directory("wasmoci-tmpfs-") as scratch:
            mounts = []
            for index, mount in enumerate(self.mounts):
                if mount.source is None:
                    source = scratch / str(index)
                    source.touch(0o444) if mount.is_file else source.mkdir()
                    mounts.append(attrs.evolve(mount, source=source))
                else:
                    mounts.append(mount)
            yield attrs.evolve(self, mounts=tuple(mounts))
