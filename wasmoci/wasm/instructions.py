"""Decodes instructions by a table of all opcodes, with their immediates and the features that they need."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.wasm.model import Feature
from wasmoci.wasm.value_types import heap_type, value_type

if TYPE_CHECKING:
    from wasmoci.wasm.reader import Reader

GC, MISC, VECTOR, ATOMIC = 0xFB, 0xFC, 0xFD, 0xFE
END = 0x0B
BR_TABLE = 0x0E
CALL, CALL_INDIRECT = 0x10, 0x11
GLOBAL_GET = 0x23
MEMORY_SIZE, MEMORY_GROW = 0x3F, 0x40

# Immediates, one letter each:
#   u  a number of 32 bits          U  a number of 64 bits        4 8 16(v)  that many bytes    k  one byte
#   m  alignment and offset         z  a memory's number          y  the table of a call_indirect
#   x  a memory's number, where WebAssembly 1.0 has a byte that is always zero
#   b  a block's type               h  a heap type                t  a vector of value types
#   L  the labels of br_table       C  the catches of try_table   H  the handlers of a resume
_ROWS: tuple[tuple[int, int, int, str, tuple[Feature, ...]], ...] = (
    # prefix, first opcode, last opcode, immediates, features; most frequent first
    (0, 0x20, 0x24, "u", ()),
    (0, 0x41, 0x41, "u", ()),
    (0, 0x0C, 0x0D, "u", ()),
    (0, 0x10, 0x10, "u", ()),
    (0, 0x28, 0x3E, "m", ()),
    (0, 0x00, 0x01, "", ()),
    (0, 0x02, 0x04, "b", ()),
    (0, 0x05, 0x05, "", ()),
    (0, 0x06, 0x06, "b", (Feature.LEGACY_EXCEPTIONS,)),
    (0, 0x07, 0x07, "u", (Feature.LEGACY_EXCEPTIONS,)),
    (0, 0x08, 0x08, "u", (Feature.EXCEPTIONS,)),
    (0, 0x09, 0x09, "u", (Feature.LEGACY_EXCEPTIONS,)),
    (0, 0x0A, 0x0A, "", (Feature.EXCEPTIONS,)),
    (0, 0x0B, 0x0B, "", ()),
    (0, 0x0E, 0x0E, "L", ()),
    (0, 0x0F, 0x0F, "", ()),
    (0, 0x11, 0x11, "uy", ()),
    (0, 0x12, 0x12, "u", (Feature.TAIL_CALL,)),
    (0, 0x13, 0x13, "uy", (Feature.TAIL_CALL,)),
    (0, 0x14, 0x14, "u", (Feature.FUNCTION_REFERENCES,)),
    (0, 0x15, 0x15, "u", (Feature.FUNCTION_REFERENCES,)),
    (0, 0x18, 0x18, "u", (Feature.LEGACY_EXCEPTIONS,)),
    (0, 0x19, 0x19, "", (Feature.LEGACY_EXCEPTIONS,)),
    (0, 0x1A, 0x1B, "", ()),
    (0, 0x1C, 0x1C, "t", (Feature.REFERENCE_TYPES,)),
    (0, 0x1F, 0x1F, "bC", (Feature.EXCEPTIONS,)),
    (0, 0x25, 0x26, "u", (Feature.REFERENCE_TYPES,)),
    (0, 0x3F, 0x40, "x", ()),
    (0, 0x42, 0x42, "U", ()),
    (0, 0x43, 0x43, "4", ()),
    (0, 0x44, 0x44, "8", ()),
    (0, 0x45, 0xBF, "", ()),
    (0, 0xC0, 0xC4, "", (Feature.SIGN_EXTENSION,)),
    (0, 0xD0, 0xD0, "h", (Feature.REFERENCE_TYPES,)),
    (0, 0xD1, 0xD1, "", (Feature.REFERENCE_TYPES,)),
    (0, 0xD2, 0xD2, "u", (Feature.REFERENCE_TYPES,)),
    (0, 0xD3, 0xD3, "", (Feature.GC,)),
    (0, 0xD4, 0xD4, "", (Feature.FUNCTION_REFERENCES,)),
    (0, 0xD5, 0xD6, "u", (Feature.FUNCTION_REFERENCES,)),
    (0, 0xE0, 0xE0, "u", (Feature.STACK_SWITCHING,)),
    (0, 0xE1, 0xE1, "uu", (Feature.STACK_SWITCHING,)),
    (0, 0xE2, 0xE2, "u", (Feature.STACK_SWITCHING,)),
    (0, 0xE3, 0xE3, "uH", (Feature.STACK_SWITCHING,)),
    (0, 0xE4, 0xE4, "uuH", (Feature.STACK_SWITCHING,)),
    (0, 0xE5, 0xE5, "uH", (Feature.STACK_SWITCHING,)),
    (0, 0xE6, 0xE6, "uu", (Feature.STACK_SWITCHING,)),
    (GC, 0, 1, "u", (Feature.GC,)),
    (GC, 2, 5, "uu", (Feature.GC,)),
    (GC, 6, 7, "u", (Feature.GC,)),
    (GC, 8, 10, "uu", (Feature.GC,)),
    (GC, 11, 14, "u", (Feature.GC,)),
    (GC, 15, 15, "", (Feature.GC,)),
    (GC, 16, 16, "u", (Feature.GC,)),
    (GC, 17, 19, "uu", (Feature.GC,)),
    (GC, 20, 23, "h", (Feature.GC,)),
    (GC, 24, 25, "kuhh", (Feature.GC,)),
    (GC, 26, 30, "", (Feature.GC,)),
    (MISC, 0, 7, "", (Feature.SATURATING_FLOAT_TO_INT,)),
    (MISC, 8, 8, "uz", (Feature.BULK_MEMORY,)),
    (MISC, 9, 9, "u", (Feature.BULK_MEMORY,)),
    (MISC, 10, 10, "zz", (Feature.BULK_MEMORY_OPT,)),
    (MISC, 11, 11, "z", (Feature.BULK_MEMORY_OPT,)),
    (MISC, 12, 12, "uu", (Feature.BULK_MEMORY,)),
    (MISC, 13, 13, "u", (Feature.BULK_MEMORY,)),
    (MISC, 14, 14, "uu", (Feature.BULK_MEMORY,)),
    (MISC, 15, 17, "u", (Feature.REFERENCE_TYPES,)),
    (MISC, 19, 22, "", (Feature.WIDE_ARITHMETIC,)),
    (VECTOR, 0, 11, "m", (Feature.SIMD,)),
    (VECTOR, 12, 13, "v", (Feature.SIMD,)),
    (VECTOR, 14, 20, "", (Feature.SIMD,)),
    (VECTOR, 21, 34, "k", (Feature.SIMD,)),
    (VECTOR, 35, 83, "", (Feature.SIMD,)),
    (VECTOR, 84, 91, "mk", (Feature.SIMD,)),
    (VECTOR, 92, 93, "m", (Feature.SIMD,)),
    (VECTOR, 94, 255, "", (Feature.SIMD,)),
    (VECTOR, 256, 275, "", (Feature.SIMD, Feature.RELAXED_SIMD)),
    (ATOMIC, 0, 2, "m", (Feature.THREADS,)),
    (ATOMIC, 3, 3, "k", (Feature.THREADS,)),
    (ATOMIC, 16, 78, "m", (Feature.THREADS,)),
)
PREFIXES = (GC, MISC, VECTOR, ATOMIC)
INSTRUCTIONS = {
    (prefix, code): (immediates, features)
    for prefix, first, last, immediates, features in _ROWS
    for code in range(first, last + 1)
}


class Immediate(NamedTuple):
    """One immediate: its letter in the table, and its position in the file."""

    letter: str
    start: int
    end: int


class Instruction(NamedTuple):
    """An instruction and its position in the file; ``prefix`` is 0 for one without."""

    prefix: int
    code: int
    start: int
    end: int
    immediates: tuple[Immediate, ...]


def decode(reader: Reader) -> Instruction:
    """Decode any instruction, and record the features that it needs.

    Raises:
        InvalidModule: It is unknown or incomplete.
    """
    start = reader.pos
    prefix, code = 0, reader.byte()
    if code in PREFIXES:
        prefix, code = code, reader.unsigned()
    try:
        letters, features = INSTRUCTIONS[prefix, code]
    except KeyError:
        name = f"{prefix:#04x} {code:#04x}" if prefix else f"{code:#04x}"
        raise reader.fail(f"{name} is not an instruction", at=start) from None
    reader.features.update(features)
    immediates = []
    for letter in letters:
        pos = reader.pos
        _skip_immediate(reader, letter)
        immediates.append(Immediate(letter, pos, reader.pos))
    return Instruction(prefix, code, start, reader.pos, tuple(immediates))


def _skip_immediate(reader: Reader, letter: str) -> None:  # noqa: C901, PLR0912 - one case a letter
    if letter == "u":
        reader.skip_numbers(1)
    elif letter == "U":
        reader.signed(64)
    elif letter in _SIZES:
        reader.skip(_SIZES[letter])
    elif letter == "m":
        _memory_argument(reader)
    elif letter == "z":
        if reader.unsigned():
            reader.features.add(Feature.MULTI_MEMORY)
    elif letter == "x":
        start = reader.pos
        reader.unsigned()
        if reader.data[start : reader.pos] != b"\0":
            reader.features.add(Feature.MULTI_MEMORY)
    elif letter == "y":
        start = reader.pos
        if reader.unsigned():
            reader.features.add(Feature.REFERENCE_TYPES)
        elif reader.pos - start > 1:
            reader.features.add(Feature.CALL_INDIRECT_OVERLONG)
    elif letter == "b":
        _block_type(reader)
    elif letter == "h":
        heap_type(reader)
    elif letter == "t":
        for _ in range(reader.count()):
            value_type(reader)
    elif letter == "L":
        reader.skip_numbers(reader.count() + 1)
    elif letter == "C":
        for _ in range(reader.count()):
            _clause(reader, {0: 2, 1: 2, 2: 1, 3: 1})
    else:
        for _ in range(reader.count()):
            _clause(reader, {0: 2, 1: 1})


_SIZES = {"k": 1, "4": 4, "8": 8, "v": 16}
_MEMORY_FOLLOWS = 0x40
EMPTY_BLOCK = 0x40
_U32_SIZE = 5


def _memory_argument(reader: Reader) -> None:
    if reader.unsigned() & _MEMORY_FOLLOWS:
        reader.features.add(Feature.MULTI_MEMORY)
        reader.unsigned()
    start = reader.pos
    reader.unsigned(64)
    if reader.pos - start > _U32_SIZE:
        reader.features.add(Feature.MEMORY64)


def _block_type(reader: Reader) -> None:
    first = reader.peek()
    if first == EMPTY_BLOCK:
        reader.skip(1)
    elif first & 0xC0 == 0x40:  # noqa: PLR2004 - a negative number of one byte: a value type
        value_type(reader)
    else:
        start = reader.pos
        if reader.signed(33) < 0:
            raise reader.fail("not the type of a block", at=start)
        reader.features.add(Feature.MULTI_VALUE)


def _clause(reader: Reader, numbers: dict[int, int]) -> None:
    start = reader.pos
    kind = reader.byte()
    if kind not in numbers:
        raise reader.fail(f"{kind:#04x} is not a kind of clause", at=start)
    reader.skip_numbers(numbers[kind])
