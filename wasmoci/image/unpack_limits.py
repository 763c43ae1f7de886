"""How much an image may unpack to: the bounds that stop a decompression bomb."""

from __future__ import annotations

from typing import Any

import attrs

from wasmoci.errors import ImageLimitExceeded

_RATIO_GRACE = 64 << 20
"""Bytes that any layer may have, however well they compress: a small layer of zeros is no bomb."""


def positive(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Refuse a limit that isn't more than 0."""
    if not value > 0:
        msg = f"{attribute.name} is {value!r}; expected more than 0"
        raise ValueError(msg)


@attrs.frozen
class UnpackLimits:
    """Bounds on one image.

    Args:
        size: Bytes of all layers together, decompressed, with the holes of sparse files counted in full.
        entries: Entries of all layers together.
        file: Bytes of a single file.
        ratio: Decompressed bytes for each compressed one, in every layer, past the layer's first 64 MiB.
        layers: How many layers there may be.
    """

    size: int = attrs.field(default=32 << 30, validator=positive)
    entries: int = attrs.field(default=2_000_000, validator=positive)
    file: int = attrs.field(default=16 << 30, validator=positive)
    ratio: float = attrs.field(default=250, validator=positive)
    layers: int = attrs.field(default=500, validator=positive)


DEFAULT_LIMITS = UnpackLimits()


class Budget:
    """What is left of the limits while an image's layers are read, one after the other."""

    def __init__(self, limits: UnpackLimits) -> None:
        self.limits = limits
        self.bytes = 0
        self.entries = 0

    def spend(self, count: int, *, source: str) -> None:
        """Count decompressed bytes.

        Raises:
            ImageLimitExceeded: They are more than ``size``.
        """
        self.bytes += count
        if self.bytes > self.limits.size:
            raise ImageLimitExceeded(
                f"{source}: the image unpacks to more than {self.limits.size} bytes", hint=_hint("size")
            )

    def check_layers(self, count: int, *, source: str) -> None:
        """Compare how many layers there are.

        Raises:
            ImageLimitExceeded: They are more than ``layers``.
        """
        if count > self.limits.layers:
            raise ImageLimitExceeded(
                f"{source}: {count} layers; the limit is {self.limits.layers}", hint=_hint("layers")
            )

    def spend_entry(self, size: int, *, source: str, name: str) -> None:
        """Count an entry whose file has ``size`` bytes.

        Raises:
            ImageLimitExceeded: It is one too many, or the file is larger than ``file``.
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
        """Compare what was read of a layer with what it became.

        Raises:
            ImageLimitExceeded: It became more than ``ratio`` times as much.
        """
        if decompressed > _RATIO_GRACE + compressed * self.limits.ratio:
            raise ImageLimitExceeded(
                f"{source}: {compressed} bytes decompress to more than {decompressed}, which is over {self.limits.ratio:g} to 1",
                hint=_hint("ratio"),
            )


def _hint(name: str) -> str:
    return f"If you trust the image, allow more: UnpackLimits({name}=...), or --limit {name}=... at the command line."
