"""Reads TOML documents with line numbers in errors, and formats TOML headers and values.

Documents are read by Python's own parser. :mod:`.containerd_edit` has tomlkit edit one, and compares the result.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from wasmoci.errors import IntegrationError

if TYPE_CHECKING:
    from collections.abc import Iterable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Path = tuple[str, ...]
"""The keys that lead to a table."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LINE = re.compile(r"at line ([0-9]+)")


def load(text: str, source: str) -> dict[str, Any]:
    """Read a document.

    Args:
        text: The document.
        source: The file that it is from.

    Raises:
        IntegrationError: It isn't TOML; with the line, if known.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        # An error at the end has no line: it is on the last one.
        line = int(found[1]) if found else text.count("\n") + 1
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise IntegrationError(f"not TOML: {reason}", source=source, line=line, hint="mend the file first") from None


def header(path: Path) -> str:
    """Return the line that begins a table."""
    return f"[{'.'.join(key if _BARE.fullmatch(key) else value(key) for key in path)}]"


def value(item: str | bool | Iterable[str]) -> str:  # noqa: FBT001  it is the value
    """Format a string, a boolean or a list of strings."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        # JSON's strings are valid in TOML, except for one control character.
        return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(value, item))}]"


def line_of(text: str, path: Path) -> int | None:
    """Return the line, counted from 1, where a table or its first sub-table begins; None where that can't be told."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            try:
                table: Any = tomllib.loads(line)
            except tomllib.TOMLDecodeError:
                continue
            for key in path:
                table = table.get(key) if isinstance(table, dict) else None
            if table is not None:
                return number
    return None
