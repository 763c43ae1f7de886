"""Writes a memory limit into a module, for engines that offer none.

Every ``memory.grow`` is replaced by a call of a function that is appended to the module. It refuses growth that would
take all memories together beyond the limit, and either counts the refusals in an exported global or traps. Everything
is appended at the end of its index space, so that no other index in the module changes.
"""

from __future__ import annotations

import enum
import re

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedModule
from wasmoci.wasm.core import EXPORT, FUNCTION, GLOBAL, MEMORY, TYPE, CoreHead
from wasmoci.wasm.edits import CodePass, Edit, append_to, change_section, signed, unsigned
from wasmoci.wasm.instructions import CALL, MEMORY_GROW, Instruction
from wasmoci.wasm.memory_bound import REFUSED_EXPORT, InitialMemoryTooLarge
from wasmoci.wasm.name_section import name_functions
from wasmoci.wasm.value_types import memory_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.wasm.model import MemoryType
    from wasmoci.wasm.reader import Reader

PAGE = 65536
MAX_REFUSALS = 10_000
GROW_FUNCTION = "wasmoci.memory.grow"

_I32, _I64, _VOID = b"\x7f", b"\x7e", b"\x40"
_UNREACHABLE, _IF, _END, _RETURN, _DROP = b"\x00", b"\x04", b"\x0b", b"\x0f", b"\x1a"
_LOCAL_GET_0, _GLOBAL_GET, _GLOBAL_SET = b"\x20\x00", b"\x23", b"\x24"
_MEMORY_SIZE, _MEMORY_GROW = b"\x3f", b"\x40"
_I32_CONST, _I64_CONST = b"\x41", b"\x42"
_I32_EQZ, _I64_EQZ, _I32_GT_U, _I64_GT_U, _I64_LE_U = b"\x45", b"\x50", b"\x4b", b"\x56", b"\x58"
_I32_ADD, _I32_MUL, _I32_DIV_U, _I64_SUB, _I64_EXTEND_I32_U = b"\x6a", b"\x6c", b"\x6e", b"\x7d", b"\xad"
_FUNC_TYPE, _MUTABLE, _GLOBAL_KIND = b"\x60", b"\x01", b"\x03"


class OnRefusal(enum.Enum):
    """What a module does when the limit refuses memory.

    ``COUNT``: ``memory.grow`` returns -1, and the exported global :data:`REFUSED_EXPORT` counts it; after
    :data:`MAX_REFUSALS` in a row the guest traps by ``unreachable``. ``TRAP``: it traps at once, by a division by zero
    in a function whose name, :data:`GROW_FUNCTION`, the backtrace shows, for an engine whose exports can't be read.
    """

    COUNT = "count"
    TRAP = "trap"


class GrowthLimit:
    """The edits that limit one module's memory.

    Args:
        data: The module.
        head: The result of reading its sections.
        max_pages: The limit for all its memories together, in pages of 64 KiB.
        on_refusal: What to do at the limit.
        source: The module's name, for messages.

    Attributes:
        bound: Whether the limit can be reached at all; if not, no edits are needed.
    """

    def __init__(self, data: bytes, head: CoreHead, max_pages: int, on_refusal: OnRefusal, source: str) -> None:
        self.data = data
        self.head = head
        self.max_pages = max_pages
        self.on_refusal = on_refusal
        self.source = source
        self._grown: dict[int, int] = {}
        memories = self.head.memories
        if self.head.imported("memory"):
            raise UnsupportedModule(f"{self.source}: imports its memory, so its limit can't be enforced")
        if any(memory.page_size != PAGE for memory in memories):
            raise UnsupportedModule(
                f"{self.source}: has pages of another size than 64 KiB, so its memory can't be limited"
            )
        initial = sum(memory.limits.minimum for memory in memories)
        if initial > self.max_pages:
            raise InitialMemoryTooLarge(
                f"{self.source}: begins with {initial} pages of memory ({initial * PAGE} bytes); "
                f"its limit is {self.max_pages} pages ({self.max_pages * PAGE} bytes)"
            )
        self.bound = sum(_maximum(memory) for memory in memories) > self.max_pages
        if self.bound and any(export.name == REFUSED_EXPORT for export in self.head.exports):
            raise UnsupportedModule(f"{self.source}: exports the name {REFUSED_EXPORT!r}, which is reserved")

    def code_pass(self) -> CodePass:
        """Return the pass that replaces ``memory.grow`` by calls."""
        # The index of a single memory is nearly always a zero byte; then few functions have to be decoded.
        memory = rb"(?:\x00|\x80)" if len(self.head.memories) == 1 else b""
        return CodePass(re.compile(rb"\x40" + memory), frozenset({MEMORY_GROW}), self._call)

    def _call(self, body: Reader, found: Instruction) -> Iterator[Edit]:
        if (found.prefix, found.code) != (0, MEMORY_GROW):
            return
        _, start, end = found.immediates[0]
        memory = body.part(0, body.where)
        memory.pos, memory.end = start, end
        number = memory.unsigned()
        if number >= len(self.head.memories):
            raise body.fail(f"there is no memory {number}", at=found.start)
        # The functions are numbered in the order in which they turn out to be needed.
        order = self._grown.setdefault(number, len(self._grown))
        yield Edit(found.start, found.end, bytes([CALL]) + unsigned(self._first + order))

    @property
    def _first(self) -> int:
        """Return the index of the first appended function."""
        return self.head.imported("func") + self.head.functions

    def edits(self) -> tuple[list[Edit], list[bytes]]:
        """Return the edits outside the code section, and the functions to append to it; to be called after the pass."""
        edits = self._clamp()
        if not self._grown:
            return edits, []
        counting = self.on_refusal is OnRefusal.COUNT
        counters = [len(self.head.globals), len(self.head.globals) + 1] if counting else []
        types = [_I64 if self.head.memories[number].memory64 else _I32 for number in self._grown]
        signatures = [_FUNC_TYPE + b"\x01" + kind + b"\x01" + kind for kind in types]
        numbers = [unsigned(len(self.head.types) + order) for order in range(len(types))]
        edits += append_to(self.data, self.head, TYPE, signatures)
        edits += append_to(self.data, self.head, FUNCTION, numbers)
        zero = _I32 + _MUTABLE + _I32_CONST + b"\x00" + _END
        edits += append_to(self.data, self.head, GLOBAL, [zero for _ in counters])
        if counting:
            name = REFUSED_EXPORT.encode()
            export = unsigned(len(name)) + name + _GLOBAL_KIND + unsigned(counters[0])
            edits += append_to(self.data, self.head, EXPORT, [export])
        functions = [self._function(number, counters) for number in self._grown]
        return edits, [unsigned(len(function)) + function for function in functions]

    def names(self) -> list[Edit]:
        """Return the edits that name the functions; they come after all others, as the name section does."""
        numbers = range(self._first, self._first + len(self._grown))
        return name_functions(self.data, [(number, GROW_FUNCTION) for number in numbers]) if numbers else []

    def _clamp(self) -> list[Edit]:
        """Lower the memories' own maximums, so that the engine doesn't reserve more than can be used."""
        section = self.head.sections[MEMORY]
        reader = section.reader(self.data, self.source)
        initial = sum(memory.limits.minimum for memory in self.head.memories)
        edits = []
        for _ in range(reader.count()):
            start = reader.pos
            memory = memory_type(reader)
            minimum = memory.limits.minimum
            room = self.max_pages - initial + minimum
            if _maximum(memory) > room:
                flags = bytes([self.data[start] | 1])
                edits.append(Edit(start, reader.pos, flags + unsigned(minimum) + unsigned(room)))
        return change_section(self.data, section, edits)

    def _function(self, number: int, counters: list[int]) -> bytes:
        """Return the function that replaces ``memory.grow`` for one memory."""
        memory = self.head.memories[number]
        delta = _LOCAL_GET_0 + (b"" if memory.memory64 else _I64_EXTEND_I32_U)
        room = _I64_CONST + signed(self.max_pages)
        for other in range(len(self.head.memories)):
            room += self._pages(other) + _I64_SUB
        own_room = _I64_CONST + signed(_maximum(memory)) + self._pages(number) + _I64_SUB
        return b"".join(
            (
                b"\x00",  # no local variables
                # Growth beyond the limit is refused; growth beyond the memory's own maximum as well is left to the
                # engine.
                delta + room + _I64_GT_U + _IF + _VOID,
                delta + own_room + _I64_LE_U + _IF + _VOID + _refuse(counters) + _END,
                (_I64_CONST if memory.memory64 else _I32_CONST) + signed(-1) + _RETURN,
                _END,
                _forget(memory, counters),
                _LOCAL_GET_0 + _MEMORY_GROW + unsigned(number),
                _END,
            )
        )

    def _pages(self, number: int) -> bytes:
        size = _MEMORY_SIZE + unsigned(number)
        return size if self.head.memories[number].memory64 else size + _I64_EXTEND_I32_U


def _maximum(memory: MemoryType) -> int:
    if memory.limits.maximum is not None:
        return memory.limits.maximum
    return 1 << 48 if memory.memory64 else 1 << 16


def _refuse(counters: list[int]) -> bytes:
    """Count a refusal in both counters (the total, and the consecutive ones), or trap."""
    if not counters:
        return _I32_CONST + b"\x01" + _I32_CONST + b"\x00" + _I32_DIV_U + _DROP
    count = b""
    for counter in map(unsigned, counters):
        count += _GLOBAL_GET + counter + _I32_CONST + b"\x01" + _I32_ADD + _GLOBAL_SET + counter
    in_a_row = _GLOBAL_GET + unsigned(counters[1])
    return count + in_a_row + _I32_CONST + signed(MAX_REFUSALS) + _I32_GT_U + _IF + _VOID + _UNREACHABLE + _END


def _forget(memory: MemoryType, counters: list[int]) -> bytes:
    """Reset the counter of consecutive refusals, unless the guest only queries its size by growing by zero pages."""
    if not counters:
        return b""
    in_a_row = unsigned(counters[1])
    by_nothing = _LOCAL_GET_0 + (_I64_EQZ if memory.memory64 else _I32_EQZ)
    return by_nothing + _GLOBAL_GET + in_a_row + _I32_MUL + _GLOBAL_SET + in_a_row
