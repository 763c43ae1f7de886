"""The instructions, stepped over at full speed and one by one: both ways agree."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wasm.assemble import leb
from wasmoci.errors import InvalidModule
from wasmoci.wasm.instruction_skipping import plain_run, stops
from wasmoci.wasm.instructions import INSTRUCTIONS, decode
from wasmoci.wasm.model import Feature
from wasmoci.wasm.reader import Reader

ALL = frozenset(Feature)


def _padded(number: int, size: int) -> bytes:
    """A LEB128 number in more bytes than it takes."""
    short = leb(number)
    if len(short) >= size:
        return short
    return short[:-1] + bytes([short[-1] | 0x80]) + b"\x80" * (size - len(short) - 1) + b"\0"


numbers = st.builds(_padded, st.integers(0, 2**32 - 1) | st.integers(0, 300), st.integers(1, 5))
small = st.builds(_padded, st.integers(0, 3), st.integers(1, 5))
heap_types = st.sampled_from([b"\x70", b"\x6f", b"\x6e", b"\x69", b"\x05", b"\x85\x01"])
value_types = st.sampled_from([b"\x7f", b"\x7c", b"\x7b", b"\x70", b"\x6e", b"\x69", b"\x63\x70", b"\x64\x05"])
two = st.tuples(st.sampled_from([b"\0", b"\x01"]), numbers, numbers).map(b"".join)
one = st.tuples(st.sampled_from([b"\x02", b"\x03"]), numbers).map(b"".join)


def _vector(entries: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(entries, max_size=20).map(lambda found: leb(len(found)) + b"".join(found))


@st.composite
def _labels(draw: st.DrawFn) -> bytes:
    labels = draw(st.lists(numbers, min_size=1, max_size=40))
    return leb(len(labels) - 1) + b"".join(labels)


@st.composite
def _memory_arguments(draw: st.DrawFn) -> bytes:
    align = draw(st.integers(0, 3))
    offset = _padded(draw(st.integers(0, 2**64 - 1) | st.integers(0, 300)), draw(st.integers(1, 10)))
    if draw(st.booleans()):
        return _padded(align | 0x40, draw(st.integers(1, 2))) + draw(small) + offset
    return _padded(align, draw(st.integers(1, 2))) + offset


IMMEDIATES: dict[str, st.SearchStrategy[bytes]] = {
    "u": numbers,
    "U": st.builds(_padded, st.integers(0, 2**62), st.integers(1, 9)),
    "k": st.binary(min_size=1, max_size=1),
    "4": st.binary(min_size=4, max_size=4),
    "8": st.binary(min_size=8, max_size=8),
    "v": st.binary(min_size=16, max_size=16),
    "m": _memory_arguments(),
    "x": small,
    "z": small,
    "y": small,
    "b": st.just(b"\x40") | value_types | st.sampled_from([b"\x05", b"\x85\x01", b"\xc0\0"]),
    "h": heap_types,
    "t": _vector(value_types),
    "L": _labels(),
    "C": _vector(one | two),
    "H": _vector(two.filter(lambda clause: clause[0] == 0) | numbers.map(lambda number: b"\x01" + number)),
}


@st.composite
def instructions(draw: st.DrawFn) -> bytes:
    """Any instruction that there is."""
    (prefix, code), (letters, _) = draw(st.sampled_from(sorted(INSTRUCTIONS.items(), key=lambda item: item[0])))
    opcode = bytes([prefix]) + _padded(code, draw(st.integers(1, 3))) if prefix else bytes([code])
    return opcode + b"".join(draw(IMMEDIATES[letter]) for letter in letters)


def _reader(code: bytes) -> Reader:
    return Reader(code, source=None, where="a function")


@settings(max_examples=300, deadline=None)
@given(st.lists(instructions(), max_size=30), st.sets(st.sampled_from(Feature)))
def test_the_fast_way_stops_between_instructions(code: list[bytes], known: set[Feature]) -> None:
    """What is stepped over is whole instructions that need known features only; what is not is decoded."""
    data = b"".join(code)
    each = _reader(data)
    starts, needs = {}, set()
    while each.left:
        each.features = set()
        found = decode(each)
        starts[found.start] = found
        needs |= each.features
    assert list(starts) == [sum(map(len, code[:index])) for index in range(len(code))]

    walked = _reader(data)
    stopped = list(stops(walked, plain_run(frozenset(known))))
    assert [starts[found.start] for found in stopped] == stopped
    assert needs == walked.features | (needs & known)


@settings(max_examples=100, deadline=None)
@given(st.lists(instructions(), min_size=1, max_size=10), st.data())
def test_an_opcode_can_be_asked_for(code: list[bytes], data: st.DataObject) -> None:
    """Opcodes to stop at are stopped at, wherever they stand."""
    wanted = data.draw(st.sampled_from([each[0] for each in code]))
    found = [each.start for each in stops(_reader(b"".join(code)), plain_run(ALL, frozenset({wanted})))]
    expected = {
        sum(map(len, code[:index])) for index, each in enumerate(code) if each[0] == wanted and wanted not in _PREFIXES
    }
    assert expected <= set(found)


_PREFIXES = (0xFB, 0xFC, 0xFD, 0xFE)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_end_or_are_refused(code: bytes) -> None:
    """Bytes that are no code give nothing but ``InvalidModule``."""
    reader = _reader(code)
    try:
        for found in stops(reader, plain_run(ALL)):
            assert found.start < found.end <= len(code)
    except InvalidModule:
        return
    assert reader.pos == len(code)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_an_instruction_that_is_cut_off_is_refused(size: int) -> None:
    """An instruction's bytes end with the function."""
    with pytest.raises(InvalidModule):
        list(stops(_reader(b"\x41\0\x28\x02\x90\x01"[: 2 + size]), plain_run(ALL)))
