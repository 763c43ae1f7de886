"""Text of somebody else's, made fit to be shown: nothing in it can move a cursor, begin a line or turn the direction of reading."""

from __future__ import annotations


def one_line(text: object, *, keep: str = "") -> str:
    r"""A text in which every character that isn't printable is escaped, as :func:`repr` does: ``\n``, ``\x1b``, ``\u202e``.

    Printable is what :meth:`str.isprintable` calls so: no control character, no line break of any kind, no format character such as
    the overrides of the direction, and no space but the usual one.

    Args:
        text: The text.
        keep: Characters to leave as they are.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else repr(character)[1:-1] for character in text
    )
