"""Modules put together byte by byte, for what no assembler writes."""

from __future__ import annotations

PREAMBLE = b"\0asm\x01\0\0\0"
COMPONENT_PREAMBLE = b"\0asm\x0d\0\x01\0"
PADDED_ZERO = b"\x80\x80\x80\x80\x00"


def leb(number: int) -> bytes:
    """An unsigned LEB128 number."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def name(text: str) -> bytes:
    """A name."""
    return leb(len(text.encode())) + text.encode()


def vector(*entries: bytes) -> bytes:
    """A vector."""
    return leb(len(entries)) + b"".join(entries)


def section(number: int, content: bytes) -> bytes:
    """A section."""
    return bytes([number]) + leb(len(content)) + content


def custom(title: str, content: bytes = b"") -> bytes:
    """A custom section."""
    return section(0, name(title) + content)


def function(code: bytes, local_types: bytes = b"\0") -> bytes:
    """A function's entry in the code section; ``end`` is added."""
    body = local_types + code + b"\x0b"
    return leb(len(body)) + body


def module(code: bytes = b"\x41\x01", *, local_types: bytes = b"\0", **sections: bytes) -> bytes:
    """A module with a table, a memory, a global and one function ``f`` that gives an ``i32``.

    Args:
        code: The function's code.
        local_types: The declaration of its local variables.
        sections: Other content for the sections named ``types``, ``tables``, ``memories``, ``globals``, ``exports``,
            ``elements``, ``bodies``, ``data``; or ``tags``, ``data_count``, which are not there by themselves.
    """
    content = {
        "types": vector(b"\x60\0\x01\x7f"),
        "functions": vector(b"\0"),
        "tables": vector(b"\x70\0\x01"),
        "memories": vector(b"\0\x01"),
        "tags": b"",
        "globals": vector(b"\x7f\0\x41\x07\x0b"),
        "exports": vector(name("f") + b"\0\0"),
        "elements": vector(b"\0\x41\0\x0b" + vector(b"\0")),
        "data_count": b"",
        "bodies": vector(function(code, local_types)),
        "data": b"",
    } | sections
    numbers = {
        "types": 1,
        "functions": 3,
        "tables": 4,
        "memories": 5,
        "tags": 13,
        "globals": 6,
        "exports": 7,
        "elements": 9,
        "data_count": 12,
        "bodies": 10,
        "data": 11,
    }
    return PREAMBLE + b"".join(section(numbers[key], value) for key, value in content.items() if value)
