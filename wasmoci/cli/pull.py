"""``wasmoci pull``: copies an image into the local store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.image_options import (
    Bar,
    add_image,
    add_quiet,
    registry_options,
    tidy,
    unpack_limits,
)
from wasmoci.cli.output import say
from wasmoci.image import pull

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_image(parser)
    parser.add_argument("--tag", "-t", metavar="NAME", help="the image's name in the store")
    add_quiet(parser)
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="a name with its registry, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] or "
        "containers-storage:NAME",
    )


def run(options: argparse.Namespace) -> int:
    """Pull it, and print its digest."""
    with tidy(), Bar() as bar:
        stored = pull(
            options.image,
            name=options.tag,
            platform=options.platform,
            limits=unpack_limits(options),
            registry=registry_options(options),
            progress=None if options.quiet else bar,
        )
    say(f"{stored.name} {stored.descriptor.digest}")
    return 0
