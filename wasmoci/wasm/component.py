"""Reads the names that a component imports and exports.

Nested modules and components are skipped. Follows "Import and Export Definitions" of the component model's
``Binary.md``.
"""

from __future__ import annotations

from wasmoci.wasm.model import Export, Import
from wasmoci.wasm.reader import MAX_KEPT, Reader

_SECTIONS = (
    "a custom section",
    "a core module",
    "a core instance section",
    "a core type section",
    "a nested component",
    "an instance section",
    "an alias section",
    "a type section",
    "a canonical function section",
    "a start section",
    "an import section",
    "an export section",
    "a value section",
)
_IMPORT, _EXPORT = 10, 11
_SORTS = ("core", "func", "value", "type", "component", "instance")
_CORE_SORTS = {
    0x00: "func",
    0x01: "table",
    0x02: "memory",
    0x03: "global",
    0x10: "type",
    0x11: "module",
    0x12: "instance",
}


def read_component(data: bytes, *, source: str | None) -> tuple[tuple[Import, ...], tuple[Export, ...]]:
    """Read the imports and exports of a component whose preamble has been checked.

    Raises:
        InvalidModule: It is damaged.
    """
    imports: list[Import] = []
    exports: list[Export] = []
    reader = Reader(data, 8, source=source, where="the component")
    for _ in reader.parts():
        reader.where = "the component"
        header = reader.pos
        number = reader.byte()
        if number >= len(_SECTIONS):
            raise reader.fail(f"{number:#04x} is not the number of a section", at=header)
        reader.where = _SECTIONS[number]
        section = reader.part(reader.unsigned(), _SECTIONS[number])
        if number == _IMPORT:
            imports.extend(_import(section) for _ in range(section.count(MAX_KEPT - len(imports))))
            section.finish()
        elif number == _EXPORT:
            exports.extend(_export(section) for _ in range(section.count(MAX_KEPT - len(exports))))
            section.finish()
    return tuple(imports), tuple(exports)


def _import(reader: Reader) -> Import:
    name = _extern_name(reader)
    return Import("", name, _description(reader))


def _export(reader: Reader) -> Export:
    name = _extern_name(reader)
    kind = _sort(reader)
    reader.unsigned()
    start = reader.pos
    ascribed = reader.byte()
    if ascribed == 1:
        _description(reader)
    elif ascribed:
        raise reader.fail(f"{ascribed:#04x} is neither 0 (no type) nor 1 (a type follows)", at=start)
    return Export(name, kind)


def _extern_name(reader: Reader) -> str:
    start = reader.pos
    form = reader.byte()
    if form > 2:  # noqa: PLR2004 - 0 and 1 are plain, 2 has options behind it
        raise reader.fail(f"{form:#04x} does not begin a name", at=start)
    name = reader.name()
    if form == 2:  # noqa: PLR2004
        for _ in range(reader.count()):
            reader.byte()
            reader.name()
    return name


def _sort(reader: Reader) -> str:
    start = reader.pos
    sort = reader.byte()
    if sort == 0:
        core = reader.byte()
        if core in _CORE_SORTS:
            return _CORE_SORTS[core]
    elif sort < len(_SORTS):
        return _SORTS[sort]
    raise reader.fail(f"{sort:#04x} is not a sort of definition", at=start)


def _description(reader: Reader) -> str:
    """Skip an ``externdesc``, and return the kind that it describes."""
    kind = _sort(reader)
    start = reader.pos
    if kind in ("value", "type"):
        bound = reader.byte()
        if bound > 1:
            raise reader.fail(f"{bound:#04x} is not a bound", at=start)
        if kind == "value" and bound == 1:
            reader.signed(33)
        elif kind == "value" or bound == 0:
            reader.unsigned()
        return kind
    if kind not in ("module", "func", "component", "instance"):
        raise reader.fail(f"a {kind} can't be imported", at=start)
    reader.unsigned()
    return kind
