"""Rewrites the references to functions in a module whose functions get other indices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from wasmoci.handlers._wasmer import assembly as asm
from wasmoci.wasm.core import ELEMENT, GLOBAL
from wasmoci.wasm.edits import CodePass, Edit, append_to, change_section, unsigned
from wasmoci.wasm.instructions import CALL, END, decode
from wasmoci.wasm.value_types import global_type, value_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.wasm.core import CoreHead
    from wasmoci.wasm.instructions import Instruction
    from wasmoci.wasm.reader import Reader

_REF_FUNC = 0xD2
_PASSIVE, _EXPLICIT, _EXPRESSIONS = 1, 2, 4


class Layout(NamedTuple):
    """The indices of the functions in the rewritten module."""

    imports: int  # that the module had
    shift: int  # how much higher its own functions are numbered
    helpers: int  # the first of those that the others call
    refused: int | None  # the global that counts refusals
    growers: range  # the functions, as the module had them, that grow its memory

    @property
    def to(self) -> asm.Helpers:
        return asm.Helpers(*range(self.helpers, self.shims))

    @property
    def shims(self) -> int:
        return self.helpers + len(asm.Helpers._fields)

    @property
    def wrappers(self) -> int:
        return self.shims + self.imports

    @property
    def entry(self) -> int:
        return self.wrappers + len(self.growers) + 1

    @property
    def write(self) -> int:
        """``fd_write`` as any other function; the shim posts when it can."""
        return self.entry - 1

    def moved(self, index: int) -> int:
        """The new number of a function: a shim for an import, a wrapper for what grows memory."""
        if index < self.imports:
            return self.shims + index
        if index in self.growers:
            return self.wrappers + index - self.growers.start
        return index + self.shift


class References:
    """The edits of all references to functions by index in a module, except in imports and exports.

    Args:
        data: The module.
        head: What stands in front of its code.
        layout: The new numbers.
        source: Its name, for messages.
    """

    def __init__(self, data: bytes, head: CoreHead, layout: Layout, source: str) -> None:
        self._data = data
        self._head = head
        self._layout = layout
        self._source = source

    def in_globals(self, added: list[bytes]) -> list[Edit]:
        """Return the edits of the global section, to which some globals are added."""
        section = self._head.sections.get(GLOBAL)
        if section is None:
            return append_to(self._data, self._head, GLOBAL, added)
        reader = self._reader(GLOBAL)
        inner: list[Edit] = []
        for _ in range(reader.count()):
            global_type(reader)
            inner += self._constant(reader)
        return change_section(self._data, section, inner, added)

    def in_elements(self) -> list[Edit]:
        """Return the edits of the element section."""
        section = self._head.sections.get(ELEMENT)
        if section is None:
            return []
        reader = self._reader(ELEMENT)
        inner = [edit for _ in range(reader.count()) for edit in self._segment(reader)]
        return change_section(self._data, section, inner)

    def _segment(self, reader: Reader) -> Iterator[Edit]:
        flags = reader.unsigned()
        if not flags & _PASSIVE:
            if flags & _EXPLICIT:
                reader.unsigned()
            yield from self._constant(reader)
        if flags & _EXPRESSIONS:
            if flags & (_PASSIVE | _EXPLICIT):
                value_type(reader)
            for _ in range(reader.count()):
                yield from self._constant(reader)
            return
        if flags & (_PASSIVE | _EXPLICIT):
            reader.byte()
        for _ in range(reader.count()):
            start = reader.pos
            yield from self._moved(reader.unsigned(), start, reader.pos)

    def _constant(self, reader: Reader) -> Iterator[Edit]:
        while (found := decode(reader)).code != END or found.prefix:
            if (found.prefix, found.code) == (0, _REF_FUNC):
                yield from self._index(reader, found.immediates[0].start, found.end)

    def in_code(self) -> CodePass:
        """Return the edits of the code section."""
        layout = self._layout
        if layout.shift or layout.imports > 0x7F:  # noqa: PLR2004  more than one byte of LEB128
            pattern = rb"[\x10\xd2]"
        else:
            last = layout.imports - 1
            growers = b"".join(b"|" + re.escape(unsigned(index)) for index in layout.growers)
            pattern = rb"[\x10\xd2](?:[\x00-\x%02x]|[\x80-\x%02x]\x80{1,3}\x00%s)" % (last, 0x80 | last, growers)

        def change(body: Reader, found: Instruction) -> Iterator[Edit]:
            if not found.prefix and found.code in (CALL, _REF_FUNC):
                yield from self._index(body, found.immediates[0].start, found.immediates[0].end)

        return CodePass(re.compile(pattern, re.DOTALL), frozenset({CALL, _REF_FUNC}), change)

    def _index(self, reader: Reader, start: int, end: int) -> Iterator[Edit]:
        number = reader.part(0, reader.where)
        number.pos, number.end = start, end
        yield from self._moved(number.unsigned(), start, end)

    def _moved(self, index: int, start: int, end: int) -> Iterator[Edit]:
        moved = self._layout.moved(index)
        if moved != index:
            yield Edit(start, end, unsigned(moved))

    def _reader(self, number: int) -> Reader:
        section = self._head.sections[number]
        return section.reader(self._data, self._source)
