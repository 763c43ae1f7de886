"""The texts of a spec that was made in Python, and so by no reader of JSON, which would have refused them."""

from __future__ import annotations

import os

from wasmoci.errors import InvalidSpec


def check_guest_text(text: str, path: str) -> None:
    """Refuse what can be no argument, variable or path of a guest's.

    Args:
        text: The text.
        path: Its place in the spec, a JSON path.

    Raises:
        InvalidSpec: It has a NUL byte, or can't be encoded in UTF-8.
    """
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise InvalidSpec(f"found {text!r}; text that is UTF-8 was expected", path=path) from None
    if b"\0" in encoded:
        raise InvalidSpec(f"found {text!r}; a string without NUL bytes was expected", path=path)


def check_host_path(text: str, path: str) -> None:
    """Refuse what can be no path on the host, where a name need not be UTF-8.

    Args:
        text: The path.
        path: Its place in the spec, a JSON path.

    Raises:
        InvalidSpec: It has a NUL byte, or a surrogate that stands for no byte.
    """
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise InvalidSpec(f"found {text!r}; a path of the host was expected", path=path) from None
    if b"\0" in encoded:
        raise InvalidSpec(f"found {text!r}; a path without NUL bytes was expected", path=path)
