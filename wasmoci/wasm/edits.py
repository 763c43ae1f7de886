"""Collects changes to a module's bytes as replacements, and applies them all at once."""

from __future__ import annotations

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.wasm.core import CODE, ORDER, CoreHead, Section
from wasmoci.wasm.instruction_skipping import plain_run, stops
from wasmoci.wasm.model import Feature
from wasmoci.wasm.needed_features import bodies, skip_locals
from wasmoci.wasm.reader import Reader

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator

    from wasmoci.wasm.instructions import Instruction


class Edit(NamedTuple):
    """``data[start:end]`` becomes ``new``."""

    start: int
    end: int
    new: bytes

    @property
    def growth(self) -> int:
        """The number of bytes that the file grows by."""
        return len(self.new) - (self.end - self.start)


def apply(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the bytes with all edits applied; ``data`` itself when there are none."""
    parts: list[bytes | memoryview] = []
    view, pos = memoryview(data), 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts += (view[pos : edit.start], edit.new)
        pos = edit.end
    return b"".join([*parts, view[pos:]]) if parts else data


def unsigned(value: int) -> bytes:
    """Return the shortest LEB128 encoding of an unsigned number."""
    out = bytearray()
    while value >= 0x80:  # noqa: PLR2004
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    """Return the shortest LEB128 encoding of a signed number."""
    out = bytearray()
    while not -0x40 <= value < 0x40:  # noqa: PLR2004
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def change_section(data: bytes, section: Section, inner: Iterable[Edit], added: Iterable[bytes] = ()) -> list[Edit]:
    """Return the edits that change a vector section: its size, its count, and the given edits.

    Args:
        data: The module.
        section: The section.
        inner: Edits of its content after the count.
        added: Entries to append to it.
    """
    edits, entries = list(inner), list(added)
    if entries:
        reader = section.reader(data, None)
        count = reader.unsigned()
        edits.append(Edit(section.start, reader.pos, unsigned(count + len(entries))))
        edits.append(Edit(section.end, section.end, b"".join(entries)))
    if edits:
        size = section.end - section.start + sum(edit.growth for edit in edits)
        edits.append(Edit(section.header + 1, section.start, unsigned(size)))
    return edits


def append_to(data: bytes, head: CoreHead, number: int, entries: list[bytes]) -> list[Edit]:
    """Return the edits that append entries to a section, which is created in its proper position if it is missing."""
    if not entries:
        return []
    if section := head.sections.get(number):
        return change_section(data, section, (), entries)
    content = unsigned(len(entries)) + b"".join(entries)
    earlier = [head.sections[other].end for other in ORDER[: ORDER.index(number)] if other in head.sections]
    place = max(earlier, default=8)
    return [Edit(place, place, bytes([number]) + unsigned(len(content)) + content)]


@attrs.frozen
class CodePass:
    """A kind of change to instructions.

    Args:
        candidates: Matches the bytes of every instruction that may change, with false positives; a function without
        a match is skipped.
        stops: Opcodes that the change has to see; it sees those that are encoded in an unusual way in any case.
        change: Returns the edits for one instruction.
    """

    candidates: re.Pattern[bytes]
    stops: frozenset[int]
    change: Callable[[Reader, Instruction], Iterable[Edit]]


# Padded numbers aren't part of the pattern, so the scanner stops at them.
_ALL_FEATURES = frozenset(Feature) - {Feature.CALL_INDIRECT_OVERLONG}


def change_code(data: bytes, head: CoreHead, passes: Iterable[CodePass], *, source: str | None) -> list[Edit]:
    """Return the edits that passes make to the functions of a module, including the sizes of the changed functions.

    If several passes would change an instruction, the first one does. The size of the code section itself is left to
    :func:`change_section`.

    Raises:
        InvalidModule: A function is damaged.
    """
    code = head.sections.get(CODE)
    passes = tuple(passes)
    if code is None or not passes:
        return []
    run = plain_run(_ALL_FEATURES, frozenset().union(*(each.stops for each in passes)))
    edits: list[Edit] = []
    for header, body in _candidates(data, code, passes, source):
        start = body.pos
        skip_locals(body)
        inner = [edit for found in stops(body, run) for edit in _first_change(passes, body, found)]
        if inner:
            size = body.end - start + sum(edit.growth for edit in inner)
            edits.append(Edit(header, start, unsigned(size)))
            edits += inner
    return edits


def _first_change(passes: tuple[CodePass, ...], body: Reader, found: Instruction) -> list[Edit]:
    for each in passes:
        if edits := list(each.change(body, found)):
            return edits
    return []


def _candidates(
    data: bytes, code: Section, passes: tuple[CodePass, ...], source: str | None
) -> Iterator[tuple[int, Reader]]:
    """Return the functions that may have something to change, each with the offset of its size."""
    searches = [each.candidates.search for each in passes]
    following = [code.start] * len(passes)  # the beginning of each pass's next match
    reader = Reader(data, code.start, code.end, source=source, where=code.name)
    for header, start in bodies(reader):
        end = reader.pos
        for number, search in enumerate(searches):
            if following[number] < start:
                found = search(data, start, code.end)
                following[number] = found.start() if found else code.end
        if min(following) < end:
            yield header, Reader(data, start, end, source=source, where="a function")
