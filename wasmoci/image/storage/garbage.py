"""What of a store is needed, and how the rest of it is removed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageError, InvalidImage, StoreError
from wasmoci.image.content import media
from wasmoci.image.content.blobs import read_document
from wasmoci.image.content.model import Descriptor, media_type_of, read_index, read_manifest
from wasmoci.image.storage.container_rootfs import release
from wasmoci.image.storage.staging import hold, remove_held, sweep

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wasmoci.image.content.layout import Layout
    from wasmoci.image.storage.layout_writer import LayoutWriter


@attrs.frozen
class Pruned:
    """What was removed: how many of each, and the bytes of blobs."""

    images: int = 0
    blobs: int = 0
    root_file_systems: int = 0
    bytes: int = 0


@attrs.frozen
class Needed:
    """The digests of blobs that some entry needs, and those of manifests among them."""

    blobs: set[str] = attrs.field(factory=set)
    manifests: set[str] = attrs.field(factory=set)


def needed(layout: Layout, entries: Iterable[Descriptor]) -> Needed:
    """Find out what entries of an index need.

    A document that is damaged isn't needed, nor what it may have named: an image that is pulled again gets it anew.

    Args:
        layout: Where their blobs are.
        entries: Manifests and indexes.

    Raises:
        ImageError: A document can't be read, be it for want of a descriptor or for a fault of the disk. So nobody knows what it needs.
    """
    found = Needed()
    pending = list(entries)
    while pending:
        descriptor = pending.pop()
        if descriptor.digest in found.blobs:
            continue
        found.blobs.add(descriptor.digest)
        try:
            pending.extend(_named(layout, descriptor, found))
        except InvalidImage:
            found.blobs.discard(descriptor.digest)
    return found


def _named(layout: Layout, descriptor: Descriptor, found: Needed) -> tuple[Descriptor, ...]:
    """Add what a manifest needs; return what an index lists."""
    known = media.INDEXES | media.MANIFESTS
    if descriptor.media_type and descriptor.media_type not in known:
        return ()
    document = read_document(layout, descriptor)
    media_type = media_type_of(document, descriptor.media_type)
    if media_type in media.INDEXES:
        return read_index(document).manifests
    if media_type in media.MANIFESTS:
        manifest = read_manifest(document, media_type)
        found.manifests.add(descriptor.digest)
        found.blobs.update(blob.digest for blob in (manifest.config, *manifest.layers))
    return ()


def collect(
    store: Path, writer: LayoutWriter, entries: Iterable[Descriptor], *, wait: bool, only: str | None
) -> Pruned:
    """Remove the blobs and the root file systems that no entry needs.

    Args:
        store: The store's directory.
        writer: Its layout.
        entries: What is to stay.
        wait: Whether to wait for those who add something; else nothing is removed while they do, and the next one does it.
        only: Of the root file systems only that of this manifest, and nothing of what cut-off processes left; None for all.

    Raises:
        StoreError: Something can't be read, so nobody knows what an image needs.
        OSError: Something can't be removed.
    """
    with hold(writer.path / "blobs", exclusive=True, wait=wait) as held:
        if not held:
            return Pruned()
        if only is None:
            for part in (store / "partial").iterdir():
                part.unlink()
            sweep(store / "run", before=release)
            sweep(store / "rootfs")
        try:
            live = needed(writer.blobs, entries)
        except ImageError as error:
            raise StoreError(
                f"{error.message}; no blob was removed, as an image may need it",
                hint="Try again. 'wasmoci rm IMAGE' gives an image up that can't be read for good.",
            ) from error
        blobs = size = 0
        for algorithm in (writer.path / "blobs").iterdir():
            for blob in algorithm.iterdir():
                if f"{algorithm.name}:{blob.name}" not in live.blobs:
                    size += blob.stat().st_size
                    blobs += 1
                    blob.unlink()
        removed = _collect_root_file_systems(store / "rootfs", live.manifests, only)
        return Pruned(blobs=blobs, bytes=size, root_file_systems=removed)


def _collect_root_file_systems(directory: Path, manifests: set[str], only: str | None) -> int:
    removed = 0
    for place in list(directory.iterdir()):
        digest = place.name.partition(".")[0].replace("-", ":", 1)
        if place.name.startswith(".") or digest in manifests or only not in (None, digest):
            continue
        with contextlib.suppress(FileNotFoundError), hold(place, exclusive=True, wait=False) as held:
            if held:
                remove_held(place)
                removed += 1
    return removed
