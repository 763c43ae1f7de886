"""How much may come from a registry for one image, and how slowly: the bounds that stop one that never ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageError, ImageLimitExceeded
from wasmoci.image.unpack_limits import positive

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.image.image import Image
    from wasmoci.image.model import Descriptor

MAX_ERROR = 64 << 10
"""Bytes of an answer's body that are read where it only explains a failure, or nobody needs it."""

MAX_TOKEN = 1 << 20
MAX_HEADERS = 1 << 20
"""Bytes of an answer before its body, its interim answers (1xx) counted."""


@attrs.frozen
class TransferLimits:
    """Bounds on getting one image.

    Args:
        blob: Bytes of a single blob, as it is transferred.
        pull: Bytes of all blobs together.
        layers: How many layers the image may have.
        documents: Bytes of all manifests, indexes and configs that are read to choose an image.
        redirects: How many redirections in a row are followed.
        rate: Bytes a second that have to arrive, on average over :attr:`RegistryOptions.timeout`; less counts as no answer.
        time: Seconds for the whole.
    """

    blob: int = attrs.field(default=16 << 30, validator=positive)
    pull: int = attrs.field(default=32 << 30, validator=positive)
    layers: int = attrs.field(default=500, validator=positive)
    documents: int = attrs.field(default=64 << 20, validator=positive)
    redirects: int = attrs.field(default=5, validator=positive)
    rate: int = attrs.field(default=1 << 10, validator=positive)
    time: float = attrs.field(default=6 * 3600.0, validator=positive)


def check_image(image: Image, limits: TransferLimits) -> None:
    """Compare what an image's manifest announces with the limits, before anything of it is transferred.

    Raises:
        ImageLimitExceeded: It is more.
    """
    source = f"{image.blobs.name}: {image.digest}"
    count = len(image.manifest.layers)
    if count > limits.layers:
        raise exceeded(f"{source}: {count} layers; the limit is {limits.layers}", "layers")
    total = 0
    for blob in (image.descriptor, image.manifest.config, *image.manifest.layers):
        if blob.size > limits.blob:
            raise exceeded(f"{source}: blob {blob.digest} has {blob.size} bytes; the limit is {limits.blob}", "blob")
        total += blob.size
    if total > limits.pull:
        raise exceeded(f"{source}: {total} bytes in all; the limit is {limits.pull}", "pull")


def check_room(place: Path, needed: int) -> None:
    """Compare what is still to come with the room that there is.

    Args:
        place: Where it goes, a host path.
        needed: Bytes.

    Raises:
        ImageError: There is less.
    """
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    if needed > free:
        raise ImageError(
            f"{place}: {needed} bytes are to come, and {free} are free",
            hint="'wasmoci prune' removes what no image needs; WASMOCI_STORE chooses another place.",
        )


class Documents:
    """Counts the documents that are read to choose an image.

    Args:
        name: The repository, for errors.
        limits: The bounds.
    """

    def __init__(self, name: str, limits: TransferLimits) -> None:
        self._name = name
        self._limit = limits.documents
        self._bytes = 0

    def spend(self, descriptor: Descriptor) -> None:
        """Count one that is to be fetched.

        Raises:
            ImageLimitExceeded: It is too much.
        """
        self._bytes += descriptor.size
        if self._bytes > self._limit:
            raise exceeded(
                f"{self._name}: its manifests, indexes and configs have more than {self._limit} bytes", "documents"
            )


def exceeded(message: str, name: str) -> ImageLimitExceeded:
    """Return the error for a limit, which says how to raise it."""
    return ImageLimitExceeded(
        message,
        hint=f"If you trust the registry, allow more: TransferLimits({name}=...), or --limit {name}=... at the command line.",
    )
