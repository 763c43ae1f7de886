"""``wasmoci push``: an image to a registry, a layout or an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.image_options import REFERENCE_HELP, Bar, add_platform, add_registry, registry_options, tidy
from wasmoci.cli.output import say

if TYPE_CHECKING:
    import argparse

HELP = "Copy an image to a registry, a layout or an archive."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_platform(parser)
    parser.add_argument("--quiet", "-q", action="store_true", help="show no progress")
    add_registry(parser, pulls=False)
    parser.add_argument("image", metavar="IMAGE", help=REFERENCE_HELP)
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="docker://NAME, oci:DIR[:TAG] or oci-archive:FILE[:TAG]; without it a name of the store goes to its registry",
    )


def run(options: argparse.Namespace) -> int:
    """Push it, and print its digest."""
    from wasmoci.errors import InvalidReference  # noqa: PLC0415
    from wasmoci.image import open_image, parse_reference, parse_target, push  # noqa: PLC0415

    source = parse_reference(options.image)
    if options.target is None and source.transport != "store":
        raise InvalidReference(f"{source}: where to push it to is missing", hint="Give a TARGET such as docker://NAME.")
    target = parse_target(options.target or options.image)
    registry = registry_options(options)
    with tidy(), open_image(source, platform=options.platform, registry=registry) as image, Bar() as bar:
        push(image, target, options=registry, progress=None if options.quiet else bar)
        say(f"{target} {image.digest}")
    return 0
