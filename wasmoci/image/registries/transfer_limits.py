"""Limits the size and duration of a transfer from a registry, so that a hostile one can't go on forever."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageError, ImageLimitExceeded
from wasmoci.image.streams.unpack_limits import positive

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.image.content.image import Image
    from wasmoci.image.content.model import Descriptor

MAX_ERROR = 64 << 10
"""The bytes that are read of a body that only explains an error, or that isn't needed."""

MAX_TOKEN = 1 << 20
MAX_HEADERS = 1 << 20
"""The maximum size of a response before its body in bytes, including interim responses (1xx)."""


@attrs.frozen
class TransferLimits:
    """The limits of transferring one image.

    Args:
        blob: The size of a single blob in bytes, as it is transferred.
        pull: The size of all blobs together in bytes.
        layers: The number of layers.
        documents: The size of all manifests, indexes and configs that are read to choose an image, in bytes.
        redirects: The number of consecutive redirects.
        rate: The minimum rate in bytes per second, averaged over :attr:`RegistryOptions.timeout`; less counts as no
            response.
        time: Seconds for the whole transfer.
    """

    blob: int = attrs.field(default=16 << 30, validator=positive)
    pull: int = attrs.field(default=32 << 30, validator=positive)
    layers: int = attrs.field(default=500, validator=positive)
    documents: int = attrs.field(default=64 << 20, validator=positive)
    redirects: int = attrs.field(default=5, validator=positive)
    rate: int = attrs.field(default=1 << 10, validator=positive)
    time: float = attrs.field(default=6 * 3600.0, validator=positive)


def check_image(image: Image, limits: TransferLimits) -> None:
    """Compare the sizes in an image's manifest with the limits, before anything is transferred.

    Raises:
        ImageLimitExceeded: A limit is exceeded.
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
    """Check that there is enough free space for the transfer.

    Args:
        place: The destination, a host path.
        needed: Bytes.

    Raises:
        ImageError: There isn't.
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
        limits: The limits.
    """

    def __init__(self, name: str, limits: TransferLimits) -> None:
        self._name = name
        self._limit = limits.documents
        self._bytes = 0

    def spend(self, descriptor: Descriptor) -> None:
        """Count a document that is about to be fetched.

        Raises:
            ImageLimitExceeded: It is too much.
        """
        self._bytes += descriptor.size
        if self._bytes > self._limit:
            raise exceeded(
                f"{self._name}: its manifests, indexes and configs have more than {self._limit} bytes", "documents"
            )


def exceeded(message: str, name: str) -> ImageLimitExceeded:
    """Return the error for a limit, with a hint on raising it."""
    return ImageLimitExceeded(
        message,
        hint=f"If you trust the registry, allow more: TransferLimits({name}=...), or --limit {name}=... at the command line.",
    )
