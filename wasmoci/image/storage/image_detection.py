"""Recognises a reference to an image without opening the image, for commands that accept bundles and images."""

from __future__ import annotations

import os

from wasmoci.errors import ImageNotFound, InvalidReference
from wasmoci.image.content.reference import parse_reference
from wasmoci.image.storage.store import Store
from wasmoci.image.storage.store_path import default_store


def looks_like_image(reference: str) -> bool:
    """Return whether a reference is to an image, not to a bundle or to anything else.

    A path is inspected: it may be a layout or an archive of an image, or a bundle's directory or a module. A name is an
    image if the local store has it. No registry is contacted, and nothing is created.

    Args:
        reference: A reference, or a host path.

    Raises:
        ImageError: The local store would have to be asked, and can't be.
    """
    try:
        parsed = parse_reference(reference)
    except InvalidReference:
        return False
    if parsed.transport != "store":
        return True
    if os.path.lexists(reference) or not default_store().is_dir():
        return False
    try:
        Store().find(reference)
    except ImageNotFound:
        return False  # of a store that is damaged, or can't be believed, nobody knows
    return True
