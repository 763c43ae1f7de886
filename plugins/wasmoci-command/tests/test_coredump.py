"""Reading the counters of refused memory from a guest's core dump."""

from __future__ import annotations

import pytest
from wasmoci_command.coredump import counted

HEAD = b"\0asm\1\0\0\0" + b"\0\x05\x04core"
GUESTS_OWN = b"\x7e\x01\x42\xcd\x00\x0b"  # an i64 of 77
DUMPS = {
    "never": ([0, 0], 0),
    "at its end": ([1, 1], 1),
    "once, and then given some": ([1, 0], 1),
    "often": ([200, 3], 200),
}


@pytest.mark.parametrize("name", DUMPS)
def test_counters(name: str) -> None:
    """The larger of both is how often it was."""
    values, expected = DUMPS[name]
    counters = b"".join(b"\x7f\x01\x41" + leb(value) + b"\x0b" for value in values)
    section = b"\x03" + GUESTS_OWN + counters
    assert counted(HEAD + b"\x06" + leb(len(section)) + section + b"\x0b\x01\x00") == expected


def test_a_dump_without_globals() -> None:
    """None were refused."""
    assert counted(HEAD) == 0


def leb(value: int) -> bytes:
    """A number as LEB128, as long as it has to be when it is signed."""
    parts = []
    while value >= 0x40:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
