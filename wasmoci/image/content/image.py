"""Opens an image: reads its manifest and its config, and gives access to its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import InvalidImage
from wasmoci.image.content import media
from wasmoci.image.content.archive import DockerArchive, OciArchive, TarIndex
from wasmoci.image.content.blobs import Blobs, read_blob, read_document
from wasmoci.image.content.config import ImageConfig, read_config
from wasmoci.image.content.layout import Layout, select_tag
from wasmoci.image.content.model import (
    Descriptor,
    Document,
    Manifest,
    Platform,
    media_type_of,
    read_manifest,
    unknown_media_type,
)
from wasmoci.image.content.platforms import choose
from wasmoci.image.streams.unpack_limits import DEFAULT_LIMITS, UnpackLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from typing_extensions import Self

    from wasmoci.image.content.reference import Reference


@attrs.frozen
class Layer:
    """One layer: its descriptor, the digest of its decompressed content, and its name in errors."""

    descriptor: Descriptor
    diff_id: str | None
    name: str

    @property
    def is_wasm(self) -> bool:
        """Whether it is a WebAssembly file itself instead of a tar archive."""
        return self.descriptor.media_type in media.WASM_LAYERS


@attrs.frozen
class Image:
    """An image whose manifest and config have been verified; its layers are verified while they are read.

    Args:
        descriptor: The descriptor of its manifest.
        manifest: The manifest.
        config: The configuration.
        blobs: The source of its blobs; closed with the image.
    """

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    blobs: Blobs

    @property
    def digest(self) -> str:
        """The manifest's digest, which identifies the image."""
        return self.descriptor.digest

    @property
    def platform(self) -> Platform:
        """What it is for: its config's word, unless the index's entry for it says that it is for a Wasm runtime."""
        entry = self.descriptor.platform
        return entry if entry is not None and _is_wasm(entry) else self.config.platform

    @property
    def is_wasm(self) -> bool:
        """Whether its platform or its media types say that it needs a Wasm runtime."""
        return (
            _is_wasm(self.platform)
            or self.manifest.config.media_type in media.WASM_CONFIGS
            or any(layer.media_type in media.WASM_LAYERS for layer in self.manifest.layers)
        )

    def layers(self) -> Iterator[Layer]:
        """Yield the layers, from the lowest one up.

        Raises:
            InvalidImage: A layer has an unknown media type, or the config lists other layers than the manifest.
        """
        layers, diff_ids = self.manifest.layers, self.config.diff_ids
        if diff_ids and len(diff_ids) != len(layers):
            raise InvalidImage(
                f"the manifest has {len(layers)} layers, the config {len(diff_ids)}",
                source=f"{self.blobs.name}: {self.digest}",
            )
        for number, descriptor in enumerate(layers):
            name = f"layer {number + 1} of {len(layers)} ({descriptor.digest})"
            if descriptor.media_type not in media.TAR_LAYERS | media.WASM_LAYERS:
                raise unknown_media_type(
                    descriptor.media_type,
                    source=f"{self.blobs.name}: {name}",
                    expected=f"a layer such as {media.OCI_LAYER_GZIP} or {media.WASM_LAYER}",
                )
            if (
                not diff_ids
                and descriptor.media_type in media.TAR_LAYERS
                and self.manifest.config.media_type in media.IMAGE_CONFIGS
            ):
                raise InvalidImage("the config has no rootfs.diff_ids", source=f"{self.blobs.name}: {self.digest}")
            yield Layer(descriptor, diff_ids[number] if diff_ids else None, f"{self.blobs.name}: {name}")

    def close(self) -> None:
        """Close the source of the image."""
        self.blobs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_wasm(platform: Platform) -> bool:
    return platform.architecture in ("wasm", "wasm32")


def load_image(blobs: Blobs, roots: Sequence[Descriptor], *, platform: Platform | None = None) -> Image:
    """Read the manifest and the config of an image.

    Args:
        blobs: The source of the blobs; closed with the image, and left open on an error.
        roots: The descriptors found by a reference: a manifest, an index, or several manifests for different platforms.
        platform: The platform to take from an index; see :func:`wasmoci.image.content.platforms.choose`.

    Raises:
        ImageNotFound: There is none for the platform.
        InvalidImage: A document is damaged or of an unknown media type.
    """
    descriptor = choose(blobs, roots, platform)
    source = f"{blobs.name}: {descriptor.digest}"
    document = Document.parse(read_blob(blobs, descriptor), source)
    media_type = media_type_of(document, descriptor.media_type)
    if media_type not in media.MANIFESTS:
        raise unknown_media_type(media_type, source=source, expected=f"an image manifest such as {media.OCI_MANIFEST}")
    manifest = read_manifest(document, media_type)
    config = read_config(read_document(blobs, manifest.config), manifest.config.media_type)
    if manifest.config.media_type == media.OCI_EMPTY and not all(
        layer.media_type in media.WASM_LAYERS for layer in manifest.layers
    ):
        raise InvalidImage("an artifact without a config, and not of WebAssembly layers", source=source)
    return Image(descriptor, manifest, config, blobs)


def open_file_reference(
    reference: Reference, *, platform: Platform | None = None, limits: UnpackLimits = DEFAULT_LIMITS
) -> Image:
    """Open an image in a layout or an archive.

    Args:
        reference: A reference whose transport is ``oci``, ``oci-archive`` or ``docker-archive``.
        platform: The platform to take from an index.
        limits: Limits of unpacking an archive that is compressed as a whole.

    Raises:
        ImageNotFound: There is no such layout, archive, tag or platform.
        InvalidImage: It is damaged.
    """
    blobs, roots = open_roots(reference.transport, reference.path, reference.selector, limits=limits)
    try:
        return load_image(blobs, roots, platform=platform)
    except BaseException:
        blobs.close()
        raise


def open_roots(
    transport: str, path: Path, selector: str, *, limits: UnpackLimits = DEFAULT_LIMITS
) -> tuple[Blobs, tuple[Descriptor, ...]]:
    """Open a layout or archive, and find what a selector names there, for all platforms; the caller has to close it."""
    if transport == "oci":
        layout = Layout(path)
        return layout, select_tag(layout.index(), selector, name=str(path))
    tar = TarIndex(path, limits=limits)
    try:
        if transport == "oci-archive":
            archive = OciArchive(tar)
            return archive, select_tag(archive.index(), selector, name=str(path))
        docker = DockerArchive(tar)
        return docker, (docker.select(selector),)
    except BaseException:
        tar.close()
        raise
