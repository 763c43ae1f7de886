"""``wasmoci prune``: removes from the local store what no image needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.image_options import human
from wasmoci.cli.output import say
from wasmoci.image import Store

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--all", "-a", action="store_true", help="remove all images, too")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="remove damaged blobs only, and make the index anew where it is damaged",
    )


def run(options: argparse.Namespace) -> int:
    """Remove it, and print how much was removed."""
    if options.repair:
        repaired = Store(damaged=True).repair()
        say(f"{repaired.blobs} damaged blobs removed, {repaired.images} images of a damaged index found again")
        if not options.all:
            return 0
    pruned = Store().prune(everything=options.all)
    say(
        f"{pruned.images} images, {pruned.blobs} blobs ({human(pruned.bytes)}), {pruned.root_file_systems} root file systems removed"
    )
    return 0
