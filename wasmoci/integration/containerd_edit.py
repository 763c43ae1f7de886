"""Adds our tables to an existing ``config.toml`` of containerd, and verifies that nothing else has changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import tomlkit
from tomlkit.items import Table

from wasmoci.errors import IntegrationError
from wasmoci.integration.annotation_patterns import of_containerd
from wasmoci.integration.toml_edit import Path as Keys
from wasmoci.integration.toml_edit import header, line_of, load, value

SHIM = "io.containerd.runc.v2"
"""The shim that runs OCI runtimes."""

_DEFAULT = "default_runtime_name"
_RUNC = {"runtime_type": SHIM}


def at(document: Any, path: Keys) -> Any:
    """Return the value at a path of keys in a document; an empty table where there is none."""
    for key in path:
        document = document.get(key, {}) if isinstance(document, dict) else {}
    return document


def tables(base: Keys, name: str, runtime: dict[str, Any] | None, *, default: bool, runc: bool = False) -> str:
    """Return the tables as lines.

    Args:
        base: The table of the CRI plugin that has the runtimes.
        name: Our runtime's name.
        runtime: The path of our runtime; None to leave it out.
        default: Whether it becomes the default.
        runc: Whether to add runc.
    """
    wanted: list[tuple[Keys, dict[str, Any]]] = [(base, {_DEFAULT: name})] if default else []
    if runc:
        wanted.append(((*base, "runtimes", "runc"), _RUNC))
    if runtime is not None:
        table = (*base, "runtimes", name)
        wanted.append((table, {key: item for key, item in runtime.items() if key != "options"}))
        wanted.append(((*table, "options"), runtime["options"]))
    lines = []
    for path, table_ in wanted:
        lines.append(header(path))
        lines += [f"  {key} = {value(item)}" for key, item in table_.items()]
    return "".join(f"{line}\n" for line in lines)


def assign(text: str, path: Keys, key: str, item: str) -> str | None:
    """Return the text with a key of a table set to a string; None when there is no such table, or it can't be edited.

    Args:
        text: The document.
        path: The table.
        key: The key.
        item: The string.
    """
    try:
        document = tomlkit.parse(text)
        if tomlkit.dumps(document) != text:
            return None  # it would change more than requested
        table: Any = document
        for name in path:
            table = table[name]
        if isinstance(table, Table) and table.is_super_table():
            return None  # the table has no line of its own
        table[key] = item
        return tomlkit.dumps(document)
    except (KeyError, TypeError, ValueError):  # tomlkit's own errors are among them
        return None


@attrs.frozen(kw_only=True)
class Edit:
    """A change of a configuration file.

    Two comments enclose our tables, so that they are found again.

    Args:
        text: The file's text.
        source: The file.
        base: The table of the CRI plugin that has the runtimes.
        name: Our runtime's name.
        runtime: The path of our runtime.
        default: Whether it becomes the default; if it already is, it stays so.
    """

    text: str
    source: str
    base: Keys
    name: str
    runtime: dict[str, Any]
    default: bool

    def result(self) -> str:
        """Return the text with our tables in their previous place, or at the end.

        Raises:
            IntegrationError: It has another runtime of the same name, or is written such that no tables can be added to
            it.
        """
        text = self.text if self.text.endswith("\n") else self.text + "\n"
        document = load(text, self.source)
        default = self.default or at(document, self.base).get(_DEFAULT) == self.name
        before, block, after = self._parts(text)
        others = load(before + after, self.source)
        runtimes = at(others, (*self.base, "runtimes"))
        there = runtimes.get(self.name)
        if there is not None and there != self.runtime:
            too_much = [
                item for item in of_containerd(others, before + after, Path(self.source)) if item.runtime == self.name
            ]
            raise IntegrationError(
                f"another runtime {self.name!r} exists already",
                source=self.source,
                line=line_of(before + after, (*self.base, "runtimes", self.name)),
                hint="; ".join([*map(str, too_much), "remove it, or choose another name with --name"]),
            )
        missing = default and at(others, self.base).get(_DEFAULT) != self.name
        if missing:
            # Each part separately: tomlkit attaches a comment after a table's keys to that table, and adds a key after
            # it.
            parts = [assign(part, self.base, _DEFAULT, self.name) for part in (before, after)]
            missing = parts == [None, None]
            if parts[0] is not None:
                before = parts[0]
            elif parts[1] is not None:
                after = parts[1]
        runc = not runtimes or header((*self.base, "runtimes", "runc")) in block
        ours = tables(self.base, self.name, None if there else self.runtime, default=missing, runc=runc and not there)
        if ours:
            gap = "" if block else "\n"
            before += f"{gap}{self._begin}\n{ours}{self._end}\n"
        self._prove(document, before + after, default=default)
        return before + after

    @property
    def _begin(self) -> str:
        return f"# wasmoci config containerd: begin of {self.name}"

    @property
    def _end(self) -> str:
        return f"# wasmoci config containerd: end of {self.name}"

    def _parts(self, text: str) -> tuple[str, str, str]:
        """Return the text before our tables, the tables, and the text after them."""
        match = re.search(rf"^{re.escape(self._begin)}\n.*?^{re.escape(self._end)}\n", text, re.MULTILINE | re.DOTALL)
        return (text, "", "") if match is None else (text[: match.start()], match[0], text[match.end() :])

    def _prove(self, document: dict[str, Any], text: str, *, default: bool) -> None:
        """Check that the edited text has the old values and the new ones; otherwise it isn't used."""
        expected = _with(document, (*self.base, "runtimes", self.name), self.runtime)
        if default:
            expected = _with(expected, (*self.base, _DEFAULT), self.name)
        if not at(document, (*self.base, "runtimes")):
            expected = _with(expected, (*self.base, "runtimes", "runc"), _RUNC)
        try:
            proved = load(text, self.source) == expected
        except IntegrationError:
            proved = False
        if not proved:
            raise IntegrationError(
                "the runtime can't be added without a risk for the rest of the file",
                source=self.source,
                line=self._culprit(),
                hint="print the tables without --write, and add them by hand",
            )

    def _culprit(self) -> int | None:
        """Return the line of a table that isn't written in lines of its own, as far as known."""
        pattern = re.compile(rf"\s*(?:plugins\b|[\"']?{re.escape(self.base[1])}|containerd\b|runtimes\b).*=")
        return next((number for number, line in enumerate(self.text.splitlines(), 1) if pattern.match(line)), None)


def _with(document: Any, path: Keys, item: Any) -> Any:
    if not path:
        return item
    table = document if isinstance(document, dict) else {}
    return {**table, path[0]: _with(table.get(path[0]), path[1:], item)}
