"""Reads from a guest's core dump how often it was refused memory, when its engine's process has ended.

A core dump of WebAssembly is a module whose globals are initialised with the values that they had.
"""

from __future__ import annotations

_GLOBALS = 6
_I32, _I32_CONST, _END = 0x7F, 0x41, 0x0B
_COUNTERS = 2  # which wasmoci.wasm.rewrite appends to a module's globals


def counted(core: bytes) -> int:
    """Return how often a guest was refused memory, from the counters in its module, which are the last globals.

    Args:
        core: The core dump of a guest with such counters.
    """
    position = 8
    while position < len(core):
        kind = core[position]
        size, position = _unsigned(core, position + 1)
        if kind == _GLOBALS:
            return _largest(core[position : position + size])
        position += size
    return 0


def _largest(section: bytes) -> int:
    """Return the largest value of the globals at the end of a section, each a mutable ``i32`` with a constant."""
    values = []
    end = len(section)
    for _ in range(_COUNTERS):
        start = section.rfind(bytes([_I32, 1, _I32_CONST]), 0, end)
        if start < 0 or section[end - 1] != _END:
            break
        value, _ = _unsigned(section, start + 3)
        values.append(value)
        end = start
    return max(values, default=0)


def _unsigned(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  the last byte of a LEB128
            return value, position
        shift += 7
