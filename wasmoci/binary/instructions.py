"""The instructions: what follows each opcode, which feature it needs, and a fast way over those of no interest.

A module may have tens of megabytes of code. Nearly all of it is stepped over by one regular expression that knows how
many bytes each ordinary instruction has; Python looks only at the instructions that the expression stops at.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from wasmoci.binary.model import Feature
from wasmoci.binary.valtypes import HEAP_TYPES, NUMBER_TYPES, V128, heap_type, value_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.binary.reader import Reader

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
_PREFIXES = (GC, MISC, VECTOR, ATOMIC)
_INSTRUCTIONS = {
    (prefix, code): (immediates, features)
    for prefix, first, last, immediates, features in _ROWS
    for code in range(first, last + 1)
}


class Immediate(NamedTuple):
    """One immediate, by its letter in the table, and its bytes in the file."""

    letter: str
    start: int
    end: int


class Instruction(NamedTuple):
    """An instruction and its bytes in the file; ``prefix`` is 0 for one without."""

    prefix: int
    code: int
    start: int
    end: int
    immediates: tuple[Immediate, ...]


def decode(reader: Reader) -> Instruction:
    """Read any instruction, and note the features that it needs.

    Raises:
        InvalidModule: It is unknown or incomplete.
    """
    start = reader.pos
    prefix, code = 0, reader.byte()
    if code in _PREFIXES:
        prefix, code = code, reader.unsigned()
    try:
        letters, features = _INSTRUCTIONS[prefix, code]
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
_EMPTY_BLOCK = 0x40
_U32_SIZE = 5
_USUAL_LABELS = 16  # of a br_table
_USUAL_CLAUSES = 4  # of a try_table


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
    if first == _EMPTY_BLOCK:
        reader.skip(1)
    elif first & 0xC0 == 0x40:  # noqa: PLR2004 - a negative number of one byte: a value type
        value_type(reader)
    else:
        start = reader.pos
        if reader.signed(33) < 0:
            raise reader.fail("a block's type is not one", at=start)
        reader.features.add(Feature.MULTI_VALUE)


def _clause(reader: Reader, numbers: dict[int, int]) -> None:
    start = reader.pos
    kind = reader.byte()
    if kind not in numbers:
        raise reader.fail(f"{kind:#04x} is not a kind of clause", at=start)
    reader.skip_numbers(numbers[kind])


_EXTENDED_CONST = {0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E}


def constant(reader: Reader, imported_globals: int) -> None:
    """Read a constant expression to its end, and note the features that it needs.

    Args:
        reader: Where it stands.
        imported_globals: A global behind these is one of the module's own, which only garbage collection allows.
    """
    while True:
        found = decode(reader)
        if found.prefix:
            continue
        if found.code == END:
            return
        if found.code in _EXTENDED_CONST:
            reader.features.add(Feature.EXTENDED_CONST)
        elif found.code == GLOBAL_GET:
            part = reader.part(0, reader.where)
            part.pos, part.end = found.immediates[0].start, found.end
            if part.unsigned() >= imported_globals:
                reader.features.add(Feature.GC)


# Without possessive repeats, which Python has since 3.11 (and right since 3.11.5), the matcher keeps a record of every
# repetition in case it has to go back, which it never has to: its memory is bounded by matching in steps instead.
if sys.version_info >= (3, 11, 5):
    _ANY, _STEP = "*+", "*+"
    _UP_TO_4, _UP_TO_9 = "{0,4}+", "{0,9}+"
else:
    _ANY, _STEP = "*", "{0,1000}"
    _UP_TO_4, _UP_TO_9 = "{0,4}", "{0,9}"
_U32 = rf"[\x80-\xff]{_UP_TO_4}[\x00-\x7f]"
_U64 = rf"[\x80-\xff]{_UP_TO_9}[\x00-\x7f]"


@lru_cache(maxsize=64)
def plain_run(features: frozenset[Feature], stops: frozenset[int] = frozenset()) -> re.Pattern[bytes]:
    """A pattern that matches as many instructions as it can of those that need only ``features``.

    It always matches, if only nothing; it ends before the first instruction that needs more, and now and then before
    one that doesn't, when that is written in an unusual way. Whoever uses it decodes one instruction then and goes on.

    Args:
        features: What the instructions may need.
        stops: Opcodes without prefix to end before nevertheless.
    """
    written = _immediates(features)
    groups: dict[tuple[int, str], list[int]] = {}
    for (prefix, code), (letters, needs) in _INSTRUCTIONS.items():
        if (
            (prefix or code not in stops)
            and features.issuperset(needs)
            and all(letter in written for letter in letters)
        ):
            groups.setdefault((prefix, "".join(written[letter] for letter in letters)), []).append(code)
    # The bare opcodes follow everything else: a run of them is the cheapest to match.
    bare = _byte_class(groups.pop((0, "")))
    choices = [f"{_byte_class(codes)}{rest}" for (prefix, rest), codes in groups.items() if not prefix]
    for prefix in _PREFIXES:
        inner = [f"{_number_class(codes)}{rest}" for (of, rest), codes in groups.items() if of == prefix]
        if inner:
            choices.append(rf"\x{prefix:02x}(?:{'|'.join(inner)})")
    pattern = f"(?:(?:{'|'.join(choices)}){bare}{_ANY}|{bare}{'+' + _ANY[1:]}){_STEP}"
    return re.compile(pattern.encode("ascii"), re.DOTALL)


def _immediates(features: frozenset[Feature]) -> dict[str, str]:
    """The usual ways to write each immediate under some features; those left out are always decoded."""
    heap = [code for code, (_, feature) in HEAP_TYPES.items() if feature in features]
    values = [*NUMBER_TYPES, *heap, *([V128] if Feature.SIMD in features else [])]
    # A number of 33 bits with a sign: without one, it is a type's.
    defined = rf"[\x80-\xff]{_UP_TO_4}[\x00-\x3f]"
    blocks = _byte_class([_EMPTY_BLOCK, *values])
    if Feature.MULTI_VALUE in features:
        blocks = f"(?:{blocks}|{defined})"
    table = r"[\x00-\x7f]" if Feature.REFERENCE_TYPES in features else r"\x00"
    if Feature.CALL_INDIRECT_OVERLONG in features:
        table = rf"(?:{table}|\x80{{1,4}}\x00)"
    memory = r"[\x00-\x7f]" if Feature.MULTI_MEMORY in features else r"\x00"
    offset = _U64 if Feature.MEMORY64 in features else _U32
    memory_argument = rf"[\x00-\x3f]{offset}"
    if Feature.MULTI_MEMORY in features:
        memory_argument = rf"(?:{memory_argument}|[\x40-\x7f]{_U32}{offset})"
    labels = "|".join(rf"\x{count:02x}[\x00-\x7f]{{{count + 1}}}" for count in range(_USUAL_LABELS + 1))
    clause = rf"(?:[\x00\x01]{_U32}{_U32}|[\x02\x03]{_U32})"
    clauses = "|".join(rf"\x{count:02x}{clause * count}" for count in range(_USUAL_CLAUSES + 1))
    written = {
        "L": f"(?:{labels})",
        "C": f"(?:{clauses})",
        "u": _U32,
        "U": _U64,
        "k": ".",
        "4": ".{4}",
        "8": ".{8}",
        "v": ".{16}",
        "m": memory_argument,
        "x": memory,
        "z": memory,
        "y": table,
        "b": blocks,
    }
    if heap:
        written["h"] = _byte_class(heap)
        written["t"] = rf"\x01{_byte_class(values)}"
    if heap and Feature.FUNCTION_REFERENCES in features:
        written["h"] = f"(?:{written['h']}|{defined})"
    return written


def _byte_class(values: list[int]) -> str:
    return "[" + "".join(rf"\x{value:02x}" for value in sorted(values)) + "]"


def _number_class(codes: list[int]) -> str:
    """Numbers as LEB128 of one or two bytes."""
    choices = []
    if one := [code for code in codes if code < 0x80]:  # noqa: PLR2004
        choices.append(_byte_class(one))
    for high in sorted({code >> 7 for code in codes} - {0}):
        low = [code & 0x7F | 0x80 for code in codes if code >> 7 == high]
        choices.append(rf"{_byte_class(low)}\x{high:02x}")
    return choices[0] if len(choices) == 1 else f"(?:{'|'.join(choices)})"


def stops(reader: Reader, run: re.Pattern[bytes]) -> Iterator[Instruction]:
    """Step through ``reader`` to its end and yield each instruction that ``run`` stops at.

    Args:
        reader: At the first instruction of a function; features are noted in it.
        run: From :func:`plain_run`.
    """
    data, end, match = reader.data, reader.end, run.match
    while True:
        found = match(data, reader.pos, end)
        after = found.end() if found else end
        if after == end:
            reader.pos = end
            return
        if after == reader.pos:
            yield decode(reader)
        reader.pos = max(after, reader.pos)
