"""Reads constant expressions, the initial values of globals and tables, and the offsets of segments."""

from __future__ import annotations

from wasmoci import wasm
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasm.model import Feature

if TYPE_CHECKING:
    from wasmoci.wasm.reader import Reader

_I32_CONST, _END = 0x41, 0x0B
_EXTENDED_CONST = {0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E}


def constant(reader: Reader, imported_globals: int) -> None:
    """Read a constant expression to its end, and record the features that it needs.

    Args:
        reader: Positioned at the expression.
        imported_globals: The number of imported globals. Only garbage collection allows a reference to any other
            global.
    """
    start = reader.pos
    if reader.byte() == _I32_CONST:
        reader.skip_numbers(1)
        if reader.byte() == _END:
            return
    reader.pos = start
    while True:
        found = wasm.decode(reader)
        if found.prefix:
            continue
        if found.code == wasm.END:
            return
        if found.code in _EXTENDED_CONST:
            reader.features.add(Feature.EXTENDED_CONST)
        elif found.code == wasm.GLOBAL_GET:
            part = reader.part(0, reader.where)
            part.pos, part.end = found.immediates[0].start, found.end
            if part.unsigned() >= imported_globals:
                reader.features.add(Feature.GC)
