"""The directories that a guest of wasmtime's own WASI has open from the start."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from wasmoci.wasi.namespace import Namespace
from wasmoci.wasi.resolver import Resolver
from wasmoci.wasi.walk import components

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.filesystem import GuestFiles

_DESCRIPTORS = Path("/proc/self/fd")


@attrs.frozen
class Preopen:
    """A directory that the guest has open from the start.

    Args:
        guest: What the guest is told it is called.
        host: The host path.
        read_only: Whether the guest may only read it.
    """

    guest: str
    host: bytes
    read_only: bool


@contextlib.contextmanager
def preopens(files: GuestFiles) -> Iterator[list[Preopen]]:
    """The preopens: ``/``, the mounted directories, and the working directory as ``.`` when it isn't ``/``.

    Args:
        files: What the guest sees; every tmpfs has its directory.

    Returns:
        Them in the order of their descriptors. Their host paths are valid as long as the context.

    Raises:
        InvalidInput: The root file system isn't there.
        InvalidMount: A mount isn't possible.
    """
    found = [Preopen("/", os.fsencode(files.rootfs), files.read_only)]
    found += [
        Preopen(mount.destination, os.fsencode(mount.source), mount.read_only)
        for mount in files.mounts
        if mount.source is not None and not mount.is_file
    ]
    if files.cwd == "/":
        yield found
        return
    with contextlib.closing(Namespace(files.tree)) as namespace:
        place = Resolver(namespace).directory(namespace.root, components(os.fsencode(files.cwd))[0])
        with contextlib.closing(place):
            host = os.fsencode(_DESCRIPTORS / str(place.fd))
            yield [*found, Preopen(".", host, place.layer.read_only)]
