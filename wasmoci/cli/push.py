"""``wasmoci push``: copies an image to a registry, a layout or an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.cli.image_options import (
    REFERENCE_HELP,
    Bar,
    add_image,
    add_quiet,
    registry_options,
    tidy,
    unpack_limits,
)
from wasmoci.cli.output import say
from wasmoci.errors import InvalidReference
from wasmoci.image import open_image, parse_name, parse_reference, parse_target, push

if TYPE_CHECKING:
    import argparse

    from wasmoci.image import Reference


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_image(parser, pulls=False)
    add_quiet(parser)
    parser.add_argument("image", metavar="IMAGE", help=REFERENCE_HELP)
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="docker://NAME, oci:DIR[:TAG] or oci-archive:FILE[:TAG] (default: the registry in the image's name)",
    )


def run(options: argparse.Namespace) -> int:
    """Push it, and print its digest."""
    source = parse_reference(options.image)
    if options.target is None and source.transport != "store":
        raise InvalidReference(f"{source}: the target is missing", hint="Give a TARGET such as docker://NAME.")
    target = parse_target(options.target or options.image)
    limits, registry = unpack_limits(options), registry_options(options)
    # The credentials are for the target: the image may come from a registry that must not get them.
    own = source.transport == "docker" and parse_name(source.location).registry == _registry(target)
    from_there = registry if own else attrs.evolve(registry, credential=None)
    opened = open_image(source, platform=options.platform, limits=limits, registry=from_there)
    with tidy(), opened as image, Bar() as bar:
        push(image, target, options=registry, progress=None if options.quiet else bar)
        say(f"{target} {image.digest}")
    return 0


def _registry(target: Reference) -> str | None:
    return parse_name(target.location).registry if target.transport == "docker" else None
