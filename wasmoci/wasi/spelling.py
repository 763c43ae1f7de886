"""How a guest spelled a path, before its C library cut the slash off.

wasi-libc hands over a pointer into the text that the program gave to it, unless it has resolved a working directory before. So the
text is there still, in front of the path, and with it the slash that an absolute one began with.
"""

from __future__ import annotations

LOOKED_AT = 64
"""How many bytes in front of a path are looked at."""

_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+~%@)]}")
_ASCII = 0x80


def is_absolute(view: memoryview, pointer: int) -> bool:
    """Tell whether a path was absolute.

    It was, if a slash is in front of it, and in front of the slash there is no name: a program that cuts the directories off a
    path hands over what is behind its last slash. The letter of an option isn't taken for a name (``-o/file``).

    Args:
        view: The guest's memory.
        pointer: Where the path begins there.
    """
    before = bytes(view[max(0, pointer - LOOKED_AT) : pointer])
    text = before.rstrip(b"/")
    if text == before:
        return False
    text = text.rpartition(b"\0")[2]
    is_name = bool(text) and (text[-1] in _NAME or text[-1] >= _ASCII)
    is_option = text.startswith(b"-") and b"/" not in text
    return not is_name or is_option
