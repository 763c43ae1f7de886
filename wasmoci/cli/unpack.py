"""``wasmoci unpack``: unpacks an image into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.cli.image_options import (
    REFERENCE_HELP,
    Bar,
    add_image,
    registry_options,
    tidy,
    unpack_limits,
)
from wasmoci.cli.output import complain
from wasmoci.image import open_image, unpack
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_image(parser)
    parser.add_argument(
        "--no-owner", action="store_true", help="make the caller the owner of all files (always so unless root)"
    )
    parser.add_argument(
        "--rootless",
        action="store_true",
        default=None,
        help="write a spec for rootless runc (always so unless root)",
    )
    parser.add_argument("image", metavar="IMAGE", help=REFERENCE_HELP)
    parser.add_argument("bundle", metavar="DIR", type=Path, help="the bundle's directory, which must not exist yet")


def run(options: argparse.Namespace) -> int:
    """Unpack it."""
    limits = unpack_limits(options)
    with (
        tidy(),
        Bar() as bar,
        open_image(
            options.image,
            platform=options.platform,
            limits=limits,
            registry=registry_options(options),
            progress=bar,
        ) as image,
    ):
        owner = False if options.no_owner else None
        changes = unpack(image, options.bundle, limits=limits, owner=owner, rootless=options.rootless)
    if changes.skipped:
        names = ", ".join(changes.skipped[:5]) + (", ..." if len(changes.skipped) > 5 else "")  # noqa: PLR2004
        complain(f"{len(changes.skipped)} devices and FIFOs were left out: {one_line(names)}", kind="warning")
    return 0
