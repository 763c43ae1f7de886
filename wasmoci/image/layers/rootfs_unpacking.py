"""Unpacks an image's layers into a root file system."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wasmoci.errors import InvalidImage
from wasmoci.image.layers.layer import Changes, LayerApplier
from wasmoci.image.layers.wasm_layer import module_path
from wasmoci.image.streams.decompress import Decompressed
from wasmoci.image.streams.digest import CHUNK, ByteReader, VerifiedReader
from wasmoci.image.streams.tar import TarReader
from wasmoci.image.streams.unpack_limits import DEFAULT_LIMITS, Budget, UnpackLimits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wasmoci.image.content.image import Image, Layer
    from wasmoci.image.content.model import Descriptor

_WASM_MAGIC = b"\0asm"


def unpack_layers(
    image: Image, rootfs: Path, *, limits: UnpackLimits = DEFAULT_LIMITS, owner: bool | None = None
) -> Changes:
    """Unpack an image.

    After an error, the content of ``rootfs`` is incomplete and not verified, and has to be removed. Use
    :func:`wasmoci.image.unpack`, or :func:`wasmoci.image.storage.staging.staged`, which do that.

    Args:
        image: The image.
        rootfs: An empty directory on the host that nobody else writes to.
        limits: Limits of the unpacking.
        owner: Set the uid and gid of files; None does so as root.

    Raises:
        InvalidImage: A layer is damaged, or an entry leaves the root file system.
        ImageLimitExceeded: It exceeds the limits.
        ImageError: The operating system refuses something.
    """
    owner = os.geteuid() == 0 if owner is None else owner
    budget = Budget(limits)
    budget.check_layers(len(image.manifest.layers), source=f"{image.blobs.name}: {image.digest}")
    fd = os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        applier = LayerApplier(fd, owner=owner, budget=budget)
        for layer in image.layers():
            (_apply_wasm if layer.is_wasm else _apply_tar)(image, layer, applier, budget)
        return applier.finish()
    finally:
        os.close(fd)


def _apply_tar(image: Image, layer: Layer, applier: LayerApplier, budget: Budget) -> None:
    with image.blobs.open(layer.descriptor) as blob:
        archive: ByteReader = Decompressed(blob, source=layer.name, budget=budget)
        if layer.diff_id is not None:
            archive = VerifiedReader(archive, layer.diff_id, None, source=f"{layer.name}, decompressed")
        applier.apply(TarReader(archive, source=layer.name), source=layer.name)
        while archive.read(CHUNK):
            pass  # data after the archive's end has to be verified as well
        blob.drain()


def _apply_wasm(image: Image, layer: Layer, applier: LayerApplier, budget: Budget) -> None:
    descriptor = layer.descriptor
    budget.spend_entry(descriptor.size, source=layer.name, name="the module")
    budget.spend(descriptor.size, source=layer.name)
    parts = tuple(module_path(image, descriptor).strip("/").split("/"))
    with image.blobs.open(descriptor) as blob:
        applier.add_file(parts, _wasm_pieces(blob, descriptor, layer.name), source=layer.name)


def _wasm_pieces(blob: VerifiedReader, descriptor: Descriptor, source: str) -> Iterator[memoryview]:
    first = True
    while data := blob.read(CHUNK):
        if first and not data.startswith(_WASM_MAGIC):
            raise InvalidImage(
                f"declared as {descriptor.media_type}, but begins with {data[:4]!r}; expected {_WASM_MAGIC!r}",
                source=source,
            )
        first = False
        yield memoryview(data)
