"""``wasmoci inspect``: prints an image's manifest and config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.image_options import (
    REFERENCE_HELP,
    add_image,
    registry_options,
    tidy,
    unpack_limits,
)
from wasmoci.cli.output import say_json
from wasmoci.image import open_image
from wasmoci.image.content.label_allow_list import annotations_of

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_image(parser)
    parser.add_argument("image", metavar="IMAGE", help=REFERENCE_HELP)


def run(options: argparse.Namespace) -> int:
    """Print it."""
    limits, registry = unpack_limits(options), registry_options(options)
    with tidy(), open_image(options.image, platform=options.platform, limits=limits, registry=registry) as image:
        say_json(
            {
                "digest": image.digest,
                "mediaType": image.manifest.media_type,
                "platform": str(image.config.platform) or None,
                "wasm": image.is_wasm,
                "annotations": dict(image.manifest.annotations),
                "leftOut": list(annotations_of(image).left_out),
                "config": dict(image.config.raw),
                "layers": [layer.to_dict() for layer in image.manifest.layers],
            }
        )
    return 0
