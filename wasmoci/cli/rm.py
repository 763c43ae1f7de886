"""``wasmoci rm``: removes names from the local store and, with its last name, an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.output import say
from wasmoci.image import Store

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a name, or a digest or the first 12 digits of one")


def run(options: argparse.Namespace) -> int:
    """Remove the images, one after the other."""
    store = Store()
    for name in options.images:
        removed = store.remove(name)
        say(f"{removed.name or '<none>'} {removed.descriptor.digest}")
    return 0
