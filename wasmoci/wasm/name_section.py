"""Names the functions that are added to a module, so that backtraces show them.

Follows "Name Section" in the appendix of the WebAssembly core specification.
"""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidModule
from wasmoci.wasm.edits import Edit, unsigned
from wasmoci.wasm.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable

_CUSTOM = 0
_MODULE_NAME, _FUNCTION_NAMES = 0, 1


def name_functions(data: bytes, names: Iterable[tuple[int, str]]) -> list[Edit]:
    """Return the edits that name functions whose indices are higher than all others.

    Engines accept a module with a damaged name section, so a damaged one is left as it is.

    Args:
        data: A core module whose sections have been checked.
        names: Indices and names, in ascending order of the indices.
    """
    entries = [unsigned(number) + _text(name) for number, name in names]
    reader = Reader(data, 8, source=None, where="the module")
    while reader.left:
        header = reader.pos
        number = reader.byte()
        section = reader.part(reader.unsigned(), "the name section")
        content = section.pos
        if number == _CUSTOM and section.name() == "name":
            try:
                return _extend(section, header + 1, content, entries)
            except InvalidModule:
                return []
    added = _text("name") + _subsection(entries)
    return [Edit(reader.end, reader.end, bytes([_CUSTOM]) + unsigned(len(added)) + added)]


def _extend(section: Reader, size_at: int, content: int, entries: list[bytes]) -> list[Edit]:
    """Add to the function names of a section, or create them; the section's size is at ``data[size_at:content]``."""
    place = section.pos
    edits = []
    while section.left and section.peek() in (_MODULE_NAME, _FUNCTION_NAMES):
        kind = section.byte()
        start = section.pos
        part = section.part(section.unsigned(), section.where)
        place = section.pos
        if kind == _FUNCTION_NAMES:
            counted = part.pos
            count = part.count()
            edits = [
                Edit(counted, part.pos, unsigned(count + len(entries))),
                Edit(part.end, part.end, b"".join(entries)),
            ]
            size = part.end - counted + sum(edit.growth for edit in edits)
            edits.append(Edit(start, counted, unsigned(size)))
            break
    else:
        edits = [Edit(place, place, _subsection(entries))]
    size = section.end - content + sum(edit.growth for edit in edits)
    return [*edits, Edit(size_at, content, unsigned(size))]


def _subsection(entries: list[bytes]) -> bytes:
    names = unsigned(len(entries)) + b"".join(entries)
    return bytes([_FUNCTION_NAMES]) + unsigned(len(names)) + names


def _text(name: str) -> bytes:
    return unsigned(len(name)) + name.encode()
