"""Every text of a JSON document in turn, made one that can be no text of a spec or an image."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = {
    "nul": "{}\0x",
    "only a nul": "\0",
    "surrogate": "{}\ud800",
    "low surrogate": "{}\udcff",
    "empty": "",
    "control": "{}\x1b\n",
}


def documents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The document with each of its texts and each of its keys replaced, with what was replaced by what."""
    for path, is_key in _texts(document, ()):
        for name, bad in BAD.items():
            changed = copy.deepcopy(document)
            inner: Any = changed
            for step in path[:-1]:
                inner = inner[step]
            last = path[-1]
            if is_key:
                inner[bad.format(last)] = inner.pop(last)
            else:
                inner[last] = bad.format(inner[last])
            yield f"{name} in {'the key ' if is_key else ''}{'.'.join(map(str, path))}", changed


def _texts(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], bool]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key), True
            yield from _texts(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _texts(value, (*path, index))
    elif isinstance(node, str):
        yield path, False
