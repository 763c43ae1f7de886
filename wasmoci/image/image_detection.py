"""Tells an image from what isn't one, without opening it: what the commands ask before they do anything else."""

from __future__ import annotations

import os

from wasmoci.errors import ImageError, InvalidReference, StoreError
from wasmoci.image.reference import parse_reference
from wasmoci.image.store import Store
from wasmoci.image.store_path import default_store


def looks_like_image(reference: str) -> bool:
    """Tell whether a reference is to an image, not to a bundle or to anything else.

    A path is looked into: a layout or an archive of an image is one, a bundle's directory or a module isn't. A name is one
    when the local store has it. Nothing is asked over a network, and nothing is made.

    Args:
        reference: A reference, or a host path.
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
    except StoreError:
        raise  # what is in it would have been meant, and can't be believed
    except ImageError:
        return False
    return True
