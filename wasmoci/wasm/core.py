"""Reads the sections of a core module other than code and data: types, imports, memories, globals, exports.

Code and data are skipped, so a module of many megabytes is read in milliseconds.
"""

from __future__ import annotations

import re

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasm.constant_expressions import constant
from wasmoci.wasm.model import Export, ExternType, Feature, FuncType, GlobalType, Import, MemoryType, TableType, TagType
from wasmoci.wasm.reader import MAX_KEPT, Reader
from wasmoci.wasm.value_types import global_type, memory_type, table_type, type_section

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL = range(7)
EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT, TAG = range(7, 14)

# The order that the specification requires, which isn't that of the numbers.
ORDER = (TYPE, IMPORT, FUNCTION, TABLE, MEMORY, TAG, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA)
_NAMES = {
    CUSTOM: "a custom section",
    TYPE: "the type section",
    IMPORT: "the import section",
    FUNCTION: "the function section",
    TABLE: "the table section",
    MEMORY: "the memory section",
    GLOBAL: "the global section",
    EXPORT: "the export section",
    START: "the start section",
    ELEMENT: "the element section",
    CODE: "the code section",
    DATA: "the data section",
    DATA_COUNT: "the data count section",
    TAG: "the tag section",
}
_KINDS = ("func", "table", "memory", "global", "tag")
_FUNC, _TABLE, _MEMORY, _GLOBAL, _TAG = range(5)
_LEB32 = rb"[\x80-\xff]{0,4}[\x00-\x7f]"


@attrs.frozen
class Section:
    """A section: its number, and the offsets of its header and of the beginning and end of its content."""

    id: int
    header: int
    start: int
    end: int

    @property
    def name(self) -> str:
        """For messages."""
        return _NAMES[self.id]

    def reader(self, data: bytes, source: str | None) -> Reader:
        """Return a reader of its content.

        Args:
            data: The whole module.
            source: The module's name, for messages; None where the content was checked before.
        """
        return Reader(data, self.start, self.end, source=source, where=self.name)


@attrs.define
class CoreHead:
    """The contents of a core module without its code, data and elements.

    Args:
        sections: All sections except the custom ones, by number.
        functions: The number of functions that are defined, not imported.
        features: The features that the parts read so far need.
    """

    sections: dict[int, Section]
    types: list[FuncType | None] = attrs.field(factory=list)
    imports: list[Import] = attrs.field(factory=list)
    exports: list[Export] = attrs.field(factory=list)
    functions: int = 0
    tables: list[TableType] = attrs.field(factory=list)
    memories: list[MemoryType] = attrs.field(factory=list)
    globals: list[GlobalType] = attrs.field(factory=list)
    start: bool = False
    features: set[Feature] = attrs.field(factory=set)

    def imported(self, kind: str) -> int:
        """Return the number of imports of one kind."""
        return sum(item.kind == kind for item in self.imports)


def split_sections(data: bytes, *, source: str | None) -> dict[int, Section]:
    """Find the sections of a core module; custom sections are checked and left out.

    Raises:
        InvalidModule: A section is unknown, too long, out of order or duplicated.
    """
    reader = Reader(data, 8, source=source, where="the module")
    sections: dict[int, Section] = {}
    last = -1
    for _ in reader.parts():
        header = reader.pos
        number = reader.byte()
        if number not in _NAMES:
            raise reader.fail(f"{number:#04x} is not the number of a section", at=header)
        reader.where = _NAMES[number]
        size = reader.unsigned()
        start = reader.pos
        reader.skip(size)
        if number == CUSTOM:
            Reader(data, start, reader.pos, source=source, where=_NAMES[CUSTOM]).name()
        else:
            rank = ORDER.index(number)
            if rank <= last:
                problem = "is there twice" if number in sections else "comes too late"
                raise reader.fail(f"{problem}; sections have a fixed order", at=header)
            last = rank
            sections[number] = Section(number, header, start, reader.pos)
        reader.where = "the module"
    return sections


def read_head(data: bytes, *, source: str | None) -> CoreHead:
    """Read a core module except for its code, data and elements.

    Args:
        data: The module, whose preamble has been checked.
        source: Its name, for messages.

    Raises:
        InvalidModule: It is damaged.
    """
    head = CoreHead(split_sections(data, source=source))
    parse = _HeadParser(data, head, source)
    for number in ORDER:
        section = head.sections.get(number)
        step = parse.steps.get(number)
        if section and step:
            reader = section.reader(data, source)
            reader.features = head.features
            step(reader)
            reader.finish()
    parse.check_counts()
    if len(head.tables) > 1:
        head.features.add(Feature.REFERENCE_TYPES)
    if len(head.memories) > 1:
        head.features.add(Feature.MULTI_MEMORY)
    return head


class _HeadParser:
    """Fills a :class:`CoreHead` section by section, in the order of the file."""

    def __init__(self, data: bytes, head: CoreHead, source: str | None) -> None:
        self.data = data
        self.head = head
        self.source = source
        self.imported_functions: list[FuncType | None] = []
        self.function_types: Sequence[int] | Sequence[bytes] = ()
        self.tags: list[TagType] = []
        self.steps: dict[int, Callable[[Reader], None]] = {
            TYPE: self.types,
            IMPORT: self.imports,
            FUNCTION: self.functions,
            TABLE: self.tables,
            MEMORY: self.memories,
            TAG: self.tag_section,
            GLOBAL: self.globals,
            EXPORT: self.exports,
            START: self.start,
        }

    def types(self, reader: Reader) -> None:
        self.head.types = type_section(reader)

    def imports(self, reader: Reader) -> None:
        head = self.head
        for _ in range(reader.count(MAX_KEPT)):
            module, name = reader.name(), reader.name()
            start = reader.pos
            kind = reader.byte()
            found: ExternType | None
            if kind == _FUNC:
                found = self.function_type(reader)
                self.imported_functions.append(found)
            elif kind == _TABLE:
                found = table_type(reader)
                head.tables.append(found)
            elif kind == _MEMORY:
                found = memory_type(reader)
                head.memories.append(found)
            elif kind == _GLOBAL:
                found = global_type(reader)
                head.globals.append(found)
                if found.mutable:
                    reader.features.add(Feature.MUTABLE_GLOBALS)
            elif kind == _TAG:
                found = self.tag(reader)
            else:
                raise reader.fail(f"{kind:#04x} is not a kind of import", at=start)
            head.imports.append(Import(module, name, _KINDS[kind], found))

    def function_type(self, reader: Reader) -> FuncType | None:
        start = reader.pos
        index = reader.unsigned()
        if index >= len(self.head.types):
            raise reader.fail(f"there is no type {index}", at=start)
        return self.head.types[index]

    def functions(self, reader: Reader) -> None:
        count = self.head.functions = reader.count()
        # Only the types of exports are looked up, so the numbers stay as they are written.
        body = self.data[reader.pos : reader.end]
        self.function_types = body if body.isascii() else re.findall(_LEB32, body)
        size = len(body) if body.isascii() else sum(map(len, self.function_types))
        if size != len(body) or len(self.function_types) != count:
            raise reader.fail(f"announces {count} functions and has {len(self.function_types)}")
        reader.pos = reader.end

    def tables(self, reader: Reader) -> None:
        for _ in range(reader.count(MAX_KEPT)):
            if reader.peek() == 0x40:  # noqa: PLR2004 - a table whose elements begin as something else than null
                start = reader.pos
                reader.skip(1)
                if reader.byte() != 0:
                    raise reader.fail("expected a zero byte in a table with an initial value", at=start)
                reader.features.add(Feature.FUNCTION_REFERENCES)
                self.head.tables.append(table_type(reader))
                constant(reader, len(self.head.globals))
            else:
                self.head.tables.append(table_type(reader))

    def memories(self, reader: Reader) -> None:
        self.head.memories.extend(memory_type(reader) for _ in range(reader.count(MAX_KEPT)))

    def tag(self, reader: Reader) -> TagType:
        reader.features.add(Feature.EXCEPTIONS)
        start = reader.pos
        if reader.byte() != 0:
            raise reader.fail("a tag is not an exception's", at=start)
        tag = TagType(self.function_type(reader) or FuncType())
        if tag.type.results:
            reader.features.add(Feature.STACK_SWITCHING)
        self.tags.append(tag)
        return tag

    def tag_section(self, reader: Reader) -> None:
        for _ in range(reader.count(MAX_KEPT)):
            self.tag(reader)

    def globals(self, reader: Reader) -> None:
        imported = len(self.head.globals)
        for _ in range(reader.count(MAX_KEPT)):
            self.head.globals.append(global_type(reader))
            constant(reader, imported)

    def exports(self, reader: Reader) -> None:
        seen: set[str] = set()
        for _ in range(reader.count(MAX_KEPT)):
            start = reader.pos
            name = reader.name()
            if name in seen:
                raise reader.fail(f"{name!r} is exported twice", at=start)
            seen.add(name)
            start = reader.pos
            kind = reader.byte()
            if kind >= len(_KINDS):
                raise reader.fail(f"{kind:#04x} is not a kind of export", at=start)
            start = reader.pos
            index = reader.unsigned()
            try:
                found = self.lookup(kind, index, reader)
            except IndexError:
                raise reader.fail(f"{name!r} is {_KINDS[kind]} {index}, which does not exist", at=start) from None
            if isinstance(found, GlobalType) and found.mutable:
                reader.features.add(Feature.MUTABLE_GLOBALS)
            self.head.exports.append(Export(name, _KINDS[kind], found))

    def lookup(self, kind: int, index: int, reader: Reader) -> ExternType | None:
        if kind != _FUNC:
            spaces: dict[int, Sequence[ExternType]] = {
                _TABLE: self.head.tables,
                _MEMORY: self.head.memories,
                _GLOBAL: self.head.globals,
                _TAG: self.tags,
            }
            return spaces[kind][index]
        if index < len(self.imported_functions):
            return self.imported_functions[index]
        written = self.function_types[index - len(self.imported_functions)]
        if isinstance(written, bytes):
            part = Reader(written, source=reader.source, where=_NAMES[FUNCTION])
            return self.head.types[part.unsigned()]
        return self.head.types[written]

    def start(self, reader: Reader) -> None:
        start = reader.pos
        index = reader.unsigned()
        if index >= len(self.imported_functions) + self.head.functions:
            raise reader.fail(f"there is no function {index}", at=start)
        self.head.start = True

    def check_counts(self) -> None:
        """Check that the function section and the code section have the same number of functions."""
        code = self.head.sections.get(CODE)
        bodies = 0
        if code:
            reader = Reader(self.data, code.start, code.end, source=self.source, where=code.name)
            bodies = reader.count()
        if bodies != self.head.functions:
            reader = Reader(self.data, code.start if code else len(self.data), source=self.source, where="the module")
            raise reader.fail(f"has types for {self.head.functions} functions and bodies for {bodies}")
