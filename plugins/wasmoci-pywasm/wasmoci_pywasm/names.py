"""Reads the names of a module's functions from its name section, which pywasm ignores.

Follows "Name Section" in the appendix of the WebAssembly core specification.
"""

from __future__ import annotations

_CUSTOM, _FUNCTIONS = 0, 1


def function_names(data: bytes) -> dict[int, str]:
    """Return numbers and names of functions; empty if the name section is missing or damaged.

    Args:
        data: A core module whose sections have been checked.
    """
    try:
        reader = _Reader(data, 8)
        while reader.position < len(data):
            number = reader.unsigned()
            section = _Reader(reader.bytes())
            if number == _CUSTOM and section.bytes() == b"name":
                return _functions(section)
    except IndexError:
        pass
    return {}


def _functions(section: _Reader) -> dict[int, str]:
    while section.position < len(section.data):
        kind = section.unsigned()
        part = _Reader(section.bytes())
        if kind == _FUNCTIONS:
            return {part.unsigned(): part.bytes().decode("utf-8", "replace") for _ in range(part.unsigned())}
    return {}


class _Reader:
    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004  the last byte of a LEB128
                return value
            shift += 7

    def bytes(self) -> bytes:
        size = self.unsigned()
        start, self.position = self.position, self.position + size
        return self.data[start : self.position]
