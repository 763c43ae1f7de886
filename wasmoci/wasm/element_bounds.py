"""Whether the tables of a module have room for its elements, for an engine that doesn't look."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasm.constant_expressions import constant
from wasmoci.wasm.core import ELEMENT

if TYPE_CHECKING:
    from wasmoci.wasm.core import CoreHead

_PASSIVE, _EXPLICIT, _EXPRESSIONS = 1, 2, 4
_I32_CONST, _END = 0x41, 0x0B


def elements_fit(data: bytes, head: CoreHead, *, source: str) -> bool:
    """Tell whether all active element segments are within their tables as they begin.

    Args:
        data: A core module that has been read, without the types of garbage collection.
        head: What was read of it.
        source: Its name, for messages.

    Raises:
        InvalidModule: The elements are damaged.
    """
    section = head.sections.get(ELEMENT)
    if section is None:
        return True
    reader = section.reader(data, source)
    for _ in range(reader.count()):
        flags = reader.unsigned()
        active = not flags & _PASSIVE
        table = reader.unsigned() if active and flags & _EXPLICIT else 0
        offset = None
        if active:
            start = reader.pos
            if reader.byte() == _I32_CONST:
                offset = reader.signed(32) & 0xFFFF_FFFF
            if (
                offset is None or reader.byte() != _END
            ):  # another global's value, say, which no guest of WASI can import
                offset, reader.pos = None, start
                constant(reader, len(head.globals))
        if flags & (_PASSIVE | _EXPLICIT):
            reader.byte()
        count = reader.count()
        if offset is not None and table < len(head.tables) and offset + count > head.tables[table].limits.minimum:
            return False
        if flags & _EXPRESSIONS:
            for _ in range(count):
                constant(reader, len(head.globals))
        else:
            reader.skip_numbers(count)
    return True
