"""Exports a module's start function, for an engine without memory for host functions before."""

from __future__ import annotations

from wasmoci.errors import UnsupportedModule
from wasmoci.wasm.core import EXPORT, START, read_head
from wasmoci.wasm.edits import Edit, append_to, apply, unsigned

START_EXPORT = "wasmoci.start"
"""The name under which the start function is exported."""

_FUNCTION = b"\0"


def export_start(data: bytes, *, source: str = "module") -> bytes:
    """Export a module's start function as :data:`START_EXPORT`, so that it doesn't run at instantiation.

    Args:
        data: A core module.
        source: The module's name, for messages.

    Returns:
        The changed module; ``data`` itself when it has no start function.

    Raises:
        InvalidModule: It is damaged.
        UnsupportedModule: It exports the reserved name.
    """
    head = read_head(data, source=source)
    section = head.sections.get(START)
    if section is None:
        return data
    if any(export.name == START_EXPORT for export in head.exports):
        raise UnsupportedModule(f"{source}: exports the name {START_EXPORT!r}, which is reserved")
    index = section.reader(data, source).unsigned()
    name = START_EXPORT.encode()
    entry = unsigned(len(name)) + name + _FUNCTION + unsigned(index)
    return apply(data, [Edit(section.header, section.end, b""), *append_to(data, head, EXPORT, [entry])])
