"""Reduces a guest's container to what its process in the jail needs: the guest's own files, and nothing else of the host."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from wasmoci._startup import attrs
from wasmoci.errors import InvalidInput
from wasmoci.isolation.jail.root import Place
from wasmoci.oci import working_directory
from wasmoci.oci.filesystem import plan
from wasmoci.oci.spec import Mount, Root, Spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wasmoci.oci.guest_files import GuestMount


@contextlib.contextmanager
def reduced(spec: Spec, rootfs: Path) -> Iterator[tuple[Spec, tuple[Place, ...]]]:
    """Yield the part of a container that a process in the jail needs.

    Every tmpfs is a directory of the caller's by then, for the process can make none.

    Args:
        spec: The container's spec.
        rootfs: Its root file system, a host path.

    Yields:
        A spec with the process, the mounts that the guest sees and the memory limit, and nothing else, not even their host
        paths; and the places that the process is to have: the root, and the mounts' sources in their order.

    Raises:
        InvalidInput: The root isn't a directory, or the working directory is missing and can't be made.
        InvalidMount: See :func:`wasmoci.oci.filesystem.plan`.
    """
    if not os.path.isdir(rootfs):
        raise InvalidInput(f"{rootfs}: the root of a guest's files has to be a directory")
    with plan(spec, rootfs).materialise() as files:
        working_directory.make(files)  # where the jailed process may not
        mounts = tuple(
            Mount(destination=mount.destination, source="/", type="bind", options=("ro" if mount.read_only else "rw",))
            for mount in files.mounts
        )
        places = (
            Place(os.path.abspath(rootfs), files.read_only, _beneath("/", files.mounts)),
            *(
                Place(str(mount.source), mount.read_only, _beneath(mount.destination, files.mounts[number + 1 :]))
                for number, mount in enumerate(files.mounts)
            ),
        )
        root = Root(path="/", readonly=files.read_only)
        yield Spec(process=spec.process, root=root, mounts=mounts, memory_limit=spec.memory_limit), places


def _beneath(destination: str, mounts: Sequence[GuestMount]) -> tuple[str, ...]:
    """Return the destinations of mounts beneath another mount, relative to it."""
    prefix = destination.rstrip("/") + "/"
    return tuple(mount.destination[len(prefix) :] for mount in mounts if mount.destination.startswith(prefix))


def moved(spec: Spec, places: Sequence[Place]) -> Spec:
    """A reduced spec with the paths that its places have in the jail.

    Args:
        spec: See :func:`reduced`.
        places: The root, and the mounts' sources in their order, in the jail.
    """
    root, *sources = (place.path for place in places)
    mounts = (attrs.evolve(mount, source=source) for mount, source in zip(spec.mounts, sources, strict=True))
    read_only = spec.root is not None and spec.root.readonly
    return attrs.evolve(spec, root=Root(path=root, readonly=read_only), mounts=tuple(mounts))
