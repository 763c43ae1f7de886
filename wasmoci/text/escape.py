"""Escapes untrusted text for display, so that it can't move the cursor, begin a line or reverse the text."""

from __future__ import annotations


def one_line(text: object, *, keep: str = "") -> str:
    r"""Escape every character that isn't printable, as :func:`repr` does: ``\n``, ``\x1b``, ``\u202e``.

    Printable characters are those of :meth:`str.isprintable`: no control characters, no line breaks of any kind, no
    format characters such as direction overrides, and no spaces but the usual one.

    Args:
        text: The text.
        keep: Characters that are not escaped.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else repr(character)[1:-1] for character in text
    )
