"""Skips the instructions that aren't relevant, by a regular expression instead of decoding them.

A module may have tens of megabytes of code. One regular expression, which knows the length of each ordinary
instruction, skips nearly all of it; Python looks only at the instructions that the expression stops at.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasm.instructions import EMPTY_BLOCK, INSTRUCTIONS, PREFIXES, decode
from wasmoci.wasm.model import Feature
from wasmoci.wasm.value_types import HEAP_TYPES, NUMBER_TYPES, V128

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.wasm.instructions import Instruction
    from wasmoci.wasm.reader import Reader

_USUAL_LABELS = 16  # in a br_table
_USUAL_CLAUSES = 4  # in a try_table

# Without possessive quantifiers (Python 3.11, correct since 3.11.5), the matcher records every repetition for
# backtracking, which never happens here; matching in steps bounds its memory instead.
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
    """Return a pattern that matches the longest run of instructions that need only the given features.

    It always matches, possibly the empty string. It ends before the first instruction that needs more, and occasionally
    before another one that is encoded in an unusual way. The caller decodes one instruction then, and continues.

    Args:
        features: The features that the instructions may need.
        stops: Further opcodes without prefix to end before.
    """
    written = _immediates(features)
    groups: dict[tuple[int, str], list[int]] = {}
    for (prefix, code), (letters, needs) in INSTRUCTIONS.items():
        if (
            (prefix or code not in stops)
            and features.issuperset(needs)
            and all(letter in written for letter in letters)
        ):
            groups.setdefault((prefix, "".join(written[letter] for letter in letters)), []).append(code)
    # The opcodes without immediates come last: a run of them is the cheapest to match.
    bare = _byte_class(groups.pop((0, "")))
    choices = [f"{_byte_class(codes)}{rest}" for (prefix, rest), codes in groups.items() if not prefix]
    for prefix in PREFIXES:
        inner = [f"{_number_class(codes)}{rest}" for (of, rest), codes in groups.items() if of == prefix]
        if inner:
            choices.append(rf"\x{prefix:02x}(?:{'|'.join(inner)})")
    pattern = f"(?:(?:{'|'.join(choices)}){bare}{_ANY}|{bare}{'+' + _ANY[1:]}){_STEP}"
    return re.compile(pattern.encode("ascii"), re.DOTALL)


def _immediates(features: frozenset[Feature]) -> dict[str, str]:
    """Return the usual encodings of each immediate with some features; unusual ones are always decoded."""
    heap = [code for code, (_, feature) in HEAP_TYPES.items() if feature in features]
    values = [*NUMBER_TYPES, *heap, *([V128] if Feature.SIMD in features else [])]
    # A signed number of 33 bits: a non-negative one is the index of a type.
    defined = rf"[\x80-\xff]{_UP_TO_4}[\x00-\x3f]"
    blocks = _byte_class([EMPTY_BLOCK, *values])
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
    """Return a pattern for LEB128 numbers of one or two bytes."""
    choices = []
    if one := [code for code in codes if code < 0x80]:  # noqa: PLR2004
        choices.append(_byte_class(one))
    for high in sorted({code >> 7 for code in codes} - {0}):
        low = [code & 0x7F | 0x80 for code in codes if code >> 7 == high]
        choices.append(rf"{_byte_class(low)}\x{high:02x}")
    return choices[0] if len(choices) == 1 else f"(?:{'|'.join(choices)})"


def stops(reader: Reader, run: re.Pattern[bytes]) -> Iterator[Instruction]:
    """Advance ``reader`` to its end, and yield each instruction that ``run`` stops at.

    Args:
        reader: Positioned at the first instruction of a function; it records features.
        run: A pattern from :func:`plain_run`.
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
