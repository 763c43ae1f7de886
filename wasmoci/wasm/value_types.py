"""Reads types in the binary format, and records the features that they need."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasm.model import Feature, FuncType, GlobalType, MemoryType, Range, TableType
from wasmoci.wasm.reader import MAX_KEPT

if TYPE_CHECKING:
    from wasmoci.wasm.reader import Reader

NUMBER_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
HEAP_TYPES = {
    0x70: ("func", Feature.REFERENCE_TYPES),
    0x6F: ("extern", Feature.REFERENCE_TYPES),
    0x6E: ("any", Feature.GC),
    0x6D: ("eq", Feature.GC),
    0x6C: ("i31", Feature.GC),
    0x6B: ("struct", Feature.GC),
    0x6A: ("array", Feature.GC),
    0x71: ("none", Feature.GC),
    0x72: ("noextern", Feature.GC),
    0x73: ("nofunc", Feature.GC),
    0x69: ("exn", Feature.EXCEPTIONS),
    0x74: ("noexn", Feature.EXCEPTIONS),
    0x68: ("cont", Feature.STACK_SWITCHING),
    0x75: ("nocont", Feature.STACK_SWITCHING),
}
V128 = 0x7B
REF_NULL, REF = 0x63, 0x64
_SHARED = 0x65
_PACKED = {0x78: "i8", 0x77: "i16"}


def value_type(reader: Reader) -> str:
    """Read a value type, and return it in the notation of the text format."""
    start = reader.pos
    code = reader.byte()
    if code in NUMBER_TYPES:
        return NUMBER_TYPES[code]
    if code == V128:
        reader.features.add(Feature.SIMD)
        return "v128"
    if code in HEAP_TYPES:
        name, feature = HEAP_TYPES[code]
        reader.features.add(feature)
        return f"{name}ref"
    if code in (REF_NULL, REF):
        reader.features.add(Feature.FUNCTION_REFERENCES)
        return f"(ref {'null ' if code == REF_NULL else ''}{heap_type(reader)})"
    if code == _SHARED:
        reader.features.add(Feature.SHARED_EVERYTHING_THREADS)
        return f"(shared {value_type(reader)})"
    raise reader.fail(f"{code:#04x} is not a value type", at=start)


def heap_type(reader: Reader) -> str:
    """Read the type that a reference points to: an abstract type by name or a defined one by index."""
    start = reader.pos
    if reader.peek() == _SHARED:
        reader.skip(1)
        reader.features.add(Feature.SHARED_EVERYTHING_THREADS)
        return f"(shared {heap_type(reader)})"
    number = reader.signed(33)
    if number >= 0:
        reader.features.add(Feature.FUNCTION_REFERENCES)
        return str(number)
    code = number + 0x80  # its encoding in one byte
    if code not in HEAP_TYPES:
        raise reader.fail(f"{number} is not a heap type", at=start)
    name, feature = HEAP_TYPES[code]
    reader.features.add(feature)
    return name


def table_type(reader: Reader) -> TableType:
    """Read a table's type; ``funcref`` has been there since WebAssembly 1.0."""
    element = "funcref"
    if reader.peek() == 0x70:  # noqa: PLR2004
        reader.skip(1)
    else:
        element = value_type(reader)
    flags, limits = _limits(reader, allowed=0b101)
    if flags & 0b100:
        reader.features.add(Feature.MEMORY64)
    return TableType(element, limits, table64=bool(flags & 0b100))


def memory_type(reader: Reader) -> MemoryType:
    """Read a memory's type."""
    flags, limits = _limits(reader, allowed=0b1111)
    page_size = 65536
    if flags & 0b1000:
        start = reader.pos
        log2 = reader.unsigned()
        if log2 > 16:  # noqa: PLR2004
            raise reader.fail(f"a page of 2**{log2} bytes; expected at most 2**16", at=start)
        page_size = 1 << log2
        reader.features.add(Feature.CUSTOM_PAGE_SIZES)
    if flags & 0b100:
        reader.features.add(Feature.MEMORY64)
    if flags & 0b10:
        reader.features.add(Feature.THREADS)
    return MemoryType(limits, memory64=bool(flags & 0b100), shared=bool(flags & 0b10), page_size=page_size)


def _limits(reader: Reader, *, allowed: int) -> tuple[int, Range]:
    start = reader.pos
    flags = reader.byte()
    if flags & ~allowed:
        raise reader.fail(f"unknown flags {flags:#x} of limits", at=start)
    bits = 64 if flags & 0b100 else 32
    minimum = reader.unsigned(bits)
    maximum = reader.unsigned(bits) if flags & 1 else None
    if maximum is not None and minimum > maximum:
        raise reader.fail(f"the minimum, {minimum}, is above the maximum, {maximum}", at=start)
    return flags, Range(minimum, maximum)


def global_type(reader: Reader) -> GlobalType:
    """Read a global's type."""
    value = value_type(reader)
    start = reader.pos
    mutable = reader.byte()
    if mutable & ~0b11:
        raise reader.fail(f"{mutable:#04x} says neither mutable nor immutable", at=start)
    if mutable & 0b10:
        reader.features.add(Feature.SHARED_EVERYTHING_THREADS)
    return GlobalType(value, mutable=bool(mutable & 1))


_FUNC, _STRUCT, _ARRAY, _CONT = 0x60, 0x5F, 0x5E, 0x5D
_MAX_VALUES = 1_000  # parameters or results of a function; the limit that all engines agree on
_REC, _SUB, _SUB_FINAL = 0x4E, 0x50, 0x4F


def type_section(reader: Reader) -> list[FuncType | None]:
    """Read the types, in the order of their indices; None stands for a type that isn't a function's."""
    types: list[FuncType | None] = []
    for _ in range(reader.count(MAX_KEPT)):
        if reader.peek() == _REC:
            reader.skip(1)
            reader.features.add(Feature.GC)
            types.extend(_defined_type(reader) for _ in range(reader.count(MAX_KEPT - len(types))))
        else:
            types.append(_defined_type(reader))
    return types


def _defined_type(reader: Reader) -> FuncType | None:
    start = reader.pos
    form = reader.byte()
    if form in (_SUB, _SUB_FINAL):
        reader.features.add(Feature.GC)
        reader.skip_numbers(reader.count())
        start = reader.pos
        form = reader.byte()
    if form == _SHARED:
        reader.features.add(Feature.SHARED_EVERYTHING_THREADS)
        start = reader.pos
        form = reader.byte()
    if form == _FUNC:
        params = tuple(value_type(reader) for _ in range(reader.count(_MAX_VALUES)))
        results = tuple(value_type(reader) for _ in range(reader.count(_MAX_VALUES)))
        if len(results) > 1:
            reader.features.add(Feature.MULTI_VALUE)
        return FuncType(params, results)
    if form == _STRUCT:
        for _ in range(reader.count()):
            _field(reader)
    elif form == _ARRAY:
        _field(reader)
    elif form == _CONT:
        reader.features.add(Feature.STACK_SWITCHING)
        heap_type(reader)
        return None
    else:
        raise reader.fail(f"{form:#04x} does not begin a type", at=start)
    reader.features.add(Feature.GC)
    return None


def _field(reader: Reader) -> None:
    if reader.peek() in _PACKED:
        reader.skip(1)
    else:
        value_type(reader)
    start = reader.pos
    if reader.byte() > 1:
        raise reader.fail("a field is neither mutable nor immutable", at=start)
