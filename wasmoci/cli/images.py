"""``wasmoci images``: lists the images in the local store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.image_options import human, short
from wasmoci.cli.options import add_json
from wasmoci.cli.output import say_json, say_lines, table
from wasmoci.errors import InvalidImage
from wasmoci.image import Store

if TYPE_CHECKING:
    import argparse

    from wasmoci.image.storage.store import Stored


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the list."""
    store = Store()
    found = [(image, _size(store, image)) for image in store.images()]
    if options.json:
        say_json(
            [
                {
                    "name": image.name or None,
                    "digest": image.descriptor.digest,
                    "platform": str(image.descriptor.platform or "") or None,
                    "size": size,
                }
                for image, size in found
            ]
        )
        return 0
    rows = [("NAME", "DIGEST", "PLATFORM", "SIZE")]
    for image, size in found:
        shown = "damaged" if size is None else human(size)
        platform = str(image.descriptor.platform or "-")
        rows.append((image.name or "<none>", short(image.descriptor.digest), platform, shown))
    say_lines(table(rows))
    return 0


def _size(store: Store, image: Stored) -> int | None:
    try:
        with store.open(image.descriptor.digest) as opened:
            return sum(blob.size for blob in (opened.descriptor, opened.manifest.config, *opened.manifest.layers))
    except InvalidImage:
        return None
