"""Parses times and sizes as users write them in settings, with ``none`` and ``0`` for no limit."""

from __future__ import annotations

import math

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_UNITS = {"": 1} | {
    unit + mark: base**power
    for power, unit in enumerate("KMGT", 1)
    for mark, base in (("", 1000), ("B", 1000), ("i", 1024), ("iB", 1024))
}


def seconds(value: Any) -> float | None:
    """Parse seconds: a number, or a text that is one; None for no limit.

    Raises:
        ValueError: It is something else; the message says what was expected.
    """
    if value == "none":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError("a number of seconds, or 'none'")
    return number or None


def size(value: Any) -> int | None:
    """Parse bytes: a whole number, or a text such as ``65536``, ``500M`` or ``4Gi``; None for no limit.

    Raises:
        ValueError: It is something else; the message says what was expected.
    """
    if value == "none":
        return None
    text = "" if isinstance(value, bool) else str(value)
    digits = text.rstrip("KMGTkiB")
    unit = text[len(digits) :].replace("k", "K")
    if not (digits.isascii() and digits.isdigit()) or unit not in _UNITS:
        raise ValueError("bytes, a number with a unit as in 500M or 4Gi, or 'none'")
    return int(digits) * _UNITS[unit] or None
