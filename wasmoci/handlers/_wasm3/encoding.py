"""Rewrites modules to work around defects of wasm3.

wasm3 finds the first function with a name, whether that is its export's name or its name for debuggers. LLVM names
a program's inner function ``_start`` there and exports a wrapper of it as ``_start``, which also runs the constructors and
destructors: without this change wasm3 would call the inner one.
"""

from __future__ import annotations

from wasmoci.handlers._wasm3.names import PREFIX
from wasmoci.wasm.core import DATA, EXPORT, MEMORY, read_head
from wasmoci.wasm.edits import Edit, apply, change_section, unsigned

_FUNCTION = 0


def mark_exports(data: bytes, *, source: str) -> bytes:
    """Write :data:`.names.PREFIX` before the name of each exported function.

    Args:
        data: A core module that has been read.
        source: Its name, for messages.
    """
    section = read_head(data, source=source).sections.get(EXPORT)
    if section is None:
        return data
    reader = section.reader(data, source)
    edits = []
    for _ in range(reader.count()):
        start = reader.pos
        name = (PREFIX + reader.name()).encode()
        end = reader.pos
        if reader.byte() == _FUNCTION:
            edits.append(Edit(start, end, unsigned(len(name)) + name))
        reader.unsigned()
    return apply(data, change_section(data, section, edits))


def without_memory(data: bytes, *, source: str) -> bytes:
    """A module with an empty memory and without data, to be compiled and not run: so it takes no memory.

    Args:
        data: A core module that has been read, with one memory at most.
        source: Its name, for messages.
    """
    sections = read_head(data, source=source).sections
    empty = {MEMORY: b"\x01\x00\x00", DATA: b"\x00"}
    edits = [
        Edit(sections[number].header + 1, sections[number].end, unsigned(len(content)) + content)
        for number, content in empty.items()
        if number in sections
    ]
    return apply(data, edits)
