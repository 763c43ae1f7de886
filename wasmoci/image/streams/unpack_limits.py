"""Limits the unpacked size of an image, against decompression bombs."""

from __future__ import annotations

from typing import Any

import attrs

from wasmoci.errors import ImageLimitExceeded

_RATIO_GRACE = 64 << 20
"""The unpacked size in bytes that any layer may have, whatever its ratio: a small layer of zeros isn't a bomb."""


def positive(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Refuse a limit that isn't positive."""
    if not value > 0:
        msg = f"{attribute.name} is {value!r}; expected more than 0"
        raise ValueError(msg)


@attrs.frozen
class UnpackLimits:
    """The limits of unpacking one image.

    Args:
        size: The decompressed size of all layers together in bytes, including the holes of sparse files.
        entries: The number of entries of all layers together.
        file: The size of a single file in bytes.
        ratio: Decompressed bytes for each compressed byte of a layer, beyond the layer's first 64 MiB.
        layers: The number of layers.
    """

    size: int = attrs.field(default=32 << 30, validator=positive)
    entries: int = attrs.field(default=2_000_000, validator=positive)
    file: int = attrs.field(default=16 << 30, validator=positive)
    ratio: float = attrs.field(default=250, validator=positive)
    layers: int = attrs.field(default=500, validator=positive)


DEFAULT_LIMITS = UnpackLimits()


class Budget:
    """Counts what an image's layers use of the limits."""

    def __init__(self, limits: UnpackLimits) -> None:
        self.limits = limits
        self.bytes = 0
        self.entries = 0

    def spend(self, count: int, *, source: str) -> None:
        """Count decompressed bytes.

        Raises:
            ImageLimitExceeded: ``size`` is exceeded.
        """
        self.bytes += count
        if self.bytes > self.limits.size:
            raise ImageLimitExceeded(
                f"{source}: the image unpacks to more than {self.limits.size} bytes", hint=_hint("size")
            )

    def check_layers(self, count: int, *, source: str) -> None:
        """Check the number of layers.

        Raises:
            ImageLimitExceeded: ``layers`` is exceeded.
        """
        if count > self.limits.layers:
            raise ImageLimitExceeded(
                f"{source}: {count} layers; the limit is {self.limits.layers}", hint=_hint("layers")
            )

    def spend_entry(self, size: int, *, source: str, name: str) -> None:
        """Count an entry whose file has ``size`` bytes.

        Raises:
            ImageLimitExceeded: ``entries`` or ``file`` is exceeded.
        """
        self.entries += 1
        if self.entries > self.limits.entries:
            raise ImageLimitExceeded(
                f"{source}: the image has more than {self.limits.entries} entries", hint=_hint("entries")
            )
        if size > self.limits.file:
            raise ImageLimitExceeded(
                f"{source}: {name!r} has {size} bytes; the limit is {self.limits.file}", hint=_hint("file")
            )

    def check_ratio(self, compressed: int, decompressed: int, *, source: str) -> None:
        """Compare the compressed and decompressed sizes of a layer.

        Raises:
            ImageLimitExceeded: ``ratio`` is exceeded.
        """
        if decompressed > _RATIO_GRACE + compressed * self.limits.ratio:
            raise ImageLimitExceeded(
                f"{source}: {compressed} bytes decompress to more than {decompressed}, which is over {self.limits.ratio:g} to 1",
                hint=_hint("ratio"),
            )


def _hint(name: str) -> str:
    return f"If you trust the image, allow more: UnpackLimits({name}=...), or --limit {name}=... at the command line."
