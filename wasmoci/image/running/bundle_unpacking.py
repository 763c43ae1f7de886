"""Unpacks an image into a bundle, atomically: on an error the directory doesn't appear."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wasmoci.errors import ImageError
from wasmoci.image.layers.rootfs import Rootfs
from wasmoci.image.layers.rootfs_unpacking import unpack_layers
from wasmoci.image.running.runtime_spec import Wishes, make_spec
from wasmoci.image.storage.staging import staged, sweep
from wasmoci.image.streams.unpack_limits import DEFAULT_LIMITS, UnpackLimits
from wasmoci.oci.spec import CONFIG, Spec

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.image.content.image import Image
    from wasmoci.image.layers.layer import Changes

ROOTFS = "rootfs"


def unpack(
    image: Image,
    target: Path,
    *,
    wishes: Wishes | None = None,
    limits: UnpackLimits = DEFAULT_LIMITS,
    owner: bool | None = None,
    rootless: bool | None = None,
) -> Changes:
    """Unpack an image to a bundle that runc and crun accept.

    If the image doesn't say what to run, the spec has no ``process.args``; they have to be added before it is run.

    Args:
        image: The image.
        target: A host path that doesn't exist yet; it becomes a directory of mode 0700 with ``config.json`` and
            ``rootfs``.
        wishes: The caller's settings, which override the image's.
        limits: Limits of the unpacking.
        owner: Set the uid and gid of files; None does so as root.
        rootless: Write a spec for rootless runc; None does so unless root.

    Raises:
        ImageError: The target exists, or the operating system refuses something.
        InvalidImage: The image is damaged, or an entry leaves the root file system.
        ImageLimitExceeded: It exceeds the limits.
    """
    target = target.absolute()
    rootless = os.geteuid() != 0 if rootless is None else rootless
    if os.path.lexists(target):
        raise ImageError(f"{target}: exists already; expected a path where nothing is yet")
    if not target.parent.is_dir():
        raise ImageError(f"{target.parent}: is not a directory; expected one for {target.name!r} to be made in")
    try:
        sweep(target.parent, target.name)
        with staged(target.parent, target.name) as directory:
            (directory / ROOTFS).mkdir()
            changes = unpack_layers(image, directory / ROOTFS, limits=limits, owner=owner)
            spec = spec_of(
                image, directory / ROOTFS, wishes=wishes or Wishes(), root_path=ROOTFS, rootless=rootless, idle=True
            )
            spec.save(directory / CONFIG)
            directory.rename(target)
    except OSError as error:
        raise ImageError(f"{target}: can't be made: {error.strerror}") from error
    return changes


def spec_of(image: Image, rootfs: Path, *, wishes: Wishes, root_path: str, rootless: bool, idle: bool = False) -> Spec:
    """Return the spec of an image whose root file system is unpacked; see :func:`make_spec`."""
    fd = os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = Rootfs(fd)
    try:
        raw = make_spec(image, tree, wishes=wishes, root_path=root_path, rootless=rootless, idle=idle)
    finally:
        tree.forget()
        os.close(fd)
    return Spec.from_dict(raw)
