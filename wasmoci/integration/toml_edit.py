"""TOML that is changed by hand: the text stays as it is but for what is asked for.

Python can read TOML and not write it, and a writer would lose the comments and the order of somebody's file. So the text is
edited, line by line and without much understanding, and whoever edits it reads the result again and compares
(:func:`wasmoci.integration.containerd.plan`).
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from wasmoci.errors import IntegrationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
        text: It.
        source: The file that it is from.

    Raises:
        IntegrationError: It isn't TOML; with the line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        # An error at the end has no line: it is the last one.
        line = int(found[1]) if found else text.count("\n") + 1
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise IntegrationError(f"not TOML: {reason}", source=source, line=line, hint="mend the file first") from None


def header(path: Path) -> str:
    """The line that begins a table."""
    return f"[{'.'.join(key if _BARE.fullmatch(key) else value(key) for key in path)}]"


def value(item: str | bool | Iterable[str]) -> str:  # noqa: FBT001  it is the value
    """A string, a truth value or a list of strings, as it is written."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        # JSON's strings are TOML's, but for one control character.
        return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(value, item))}]"


def tables(text: str) -> Iterator[tuple[int, Path]]:
    """The lines that look as if they began a table, counted from 0, with the table's keys."""
    for number, line in enumerate(text.splitlines()):
        if not line.lstrip().startswith("[") or line.lstrip().startswith("[["):
            continue
        try:
            table = tomllib.loads(line)
        except tomllib.TOMLDecodeError:
            continue
        path: list[str] = []
        while isinstance(table, dict) and table:
            ((key, table),) = table.items()
            path.append(key)
        yield number, tuple(path)


def line_of(text: str, path: Path) -> int | None:
    """The line, counted from 1, in which a table or the first one below it begins; None where that isn't plain."""
    return next((number + 1 for number, found in tables(text) if found[: len(path)] == path), None)


def assign(text: str, path: Path, key: str, item: str) -> str | None:
    """The text with a key of a table set to a string; None when the table doesn't begin in a line of its own.

    Args:
        text: The document.
        path: The table.
        key: The key, a bare one.
        item: The string.
    """
    begins = [number for number, _ in tables(text)]
    start = next((number for number, found in tables(text) if found == path), None)
    if start is None:
        return None
    lines = text.splitlines(keepends=True)
    end = next((number for number in begins if number > start), len(lines))
    pattern = re.compile(rf"(\s*)(?:{key}|\"{key}\"|'{key}')\s*=")
    for number in range(start + 1, end):
        match = pattern.match(lines[number])
        if match:
            lines[number] = f"{match[1]}{key} = {value(item)}\n"
            return "".join(lines)
    indent = re.match(r"\s*", lines[start])
    lines[start] = lines[start].rstrip("\r\n") + "\n"
    lines.insert(start + 1, f"{indent[0] if indent else ''}  {key} = {value(item)}\n")
    return "".join(lines)
