"""Chooses the image in an index by its platform."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageNotFound, InvalidImage
from wasmoci.image.content import media
from wasmoci.image.content.blobs import Blobs, read_document
from wasmoci.image.content.config import read_config
from wasmoci.image.content.model import (
    Descriptor,
    Document,
    Platform,
    media_type_of,
    read_index,
    read_manifest,
    unknown_media_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WASM = ("wasi/wasm", "wasip1/wasm", "wasip2/wasm", "wasi/wasm32", "linux/wasm")
_GO_NAMES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm/v7",
    "armv6l": "arm/v6",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
}
_MAX_NESTING = 4
_MAX_IMAGES = 1000


def host_platform() -> Platform:
    """Return the platform of this machine."""
    machine = os.uname().machine
    return Platform.parse(f"linux/{_GO_NAMES.get(machine, machine)}")


def preferences() -> tuple[Platform, ...]:
    """Return the platforms to look for by default, the best one first."""
    return (*(Platform.parse(text) for text in _WASM), host_platform())


def matches(found: Platform, wanted: Platform) -> bool:
    """Return whether an image for ``found`` satisfies ``wanted``; a variant only counts if both have one."""
    same = (found.os, found.architecture) == (wanted.os, wanted.architecture)
    return same and (not wanted.variant or not found.variant or found.variant == wanted.variant)


def choose(blobs: Blobs, roots: Sequence[Descriptor], platform: Platform | None) -> Descriptor:
    """Choose a manifest.

    Args:
        blobs: The source of indexes and, where necessary, of configs.
        roots: The descriptors found by a reference: a manifest, an index, or several.
        platform: The platform to choose; None for the first of :func:`preferences`.

    Raises:
        ImageNotFound: There is none for the platform, or several match.
        InvalidImage: A document is damaged or of an unknown media type.
    """
    found = list(_manifests(blobs, roots, 0, itertools.count(1)))
    if len(found) == 1 and platform is None:
        return found[0]
    for wanted in preferences() if platform is None else (platform,):
        for descriptor in found:
            if descriptor.platform is not None and matches(descriptor.platform, wanted):
                return descriptor
    # Those whose descriptor has no platform: the config may have one.
    unsaid = [(d, _config_platform(blobs, d)) for d in found if d.platform is None]
    for wanted in preferences() if platform is None else (platform,):
        for descriptor, own in unsaid:
            if matches(own, wanted):
                return descriptor
    there = ", ".join(
        sorted({str(d.platform) for d in found if d.platform} | {str(own) for _, own in unsaid if own.os})
    )
    asked = platform or "Wasm, nor for this machine"
    raise ImageNotFound(
        f"{blobs.name}: no image for {asked}",
        hint=f"available platforms: {there or 'none'}; choose one with --platform",
    )


def _manifests(blobs: Blobs, roots: Sequence[Descriptor], depth: int, counter: Iterator[int]) -> Iterator[Descriptor]:
    if depth > _MAX_NESTING:
        raise InvalidImage(f"indexes nested more than {_MAX_NESTING} deep", source=blobs.name)
    for descriptor in roots:
        # Counted in total: an index may list the same nested index a thousand times.
        if next(counter) > _MAX_IMAGES:
            raise InvalidImage(f"an index of more than {_MAX_IMAGES} images", source=blobs.name)
        if descriptor.platform is not None and descriptor.platform.os == "unknown":
            continue  # attestations of BuildKit
        media_type, document = _kind(blobs, descriptor)
        if media_type in media.INDEXES:
            document = document or read_document(blobs, descriptor)
            # An index within an index is for what the outer one says, where it says nothing itself.
            inner = (
                attrs.evolve(entry, platform=entry.platform or descriptor.platform)
                for entry in read_index(document).manifests
            )
            yield from _manifests(blobs, tuple(inner), depth + 1, counter)
        elif media_type in media.MANIFESTS:
            yield descriptor
        elif len(roots) == 1:
            raise unknown_media_type(
                media_type,
                source=f"{blobs.name}: {descriptor.digest}",
                expected=f"an image manifest or index such as {media.OCI_MANIFEST}",
            )


def _kind(blobs: Blobs, descriptor: Descriptor) -> tuple[str, Document | None]:
    if descriptor.media_type:
        return descriptor.media_type, None
    document = read_document(blobs, descriptor)
    return media_type_of(document, ""), document


def _config_platform(blobs: Blobs, descriptor: Descriptor) -> Platform:
    manifest = read_manifest(read_document(blobs, descriptor), descriptor.media_type)
    return read_config(read_document(blobs, manifest.config), manifest.config.media_type).platform
