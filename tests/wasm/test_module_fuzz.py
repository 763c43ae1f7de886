"""Damaged and hostile modules: an answer or ``InvalidModule``, at a small cost."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wasm.assemble import COMPONENT_PREAMBLE, PREAMBLE, custom, leb, module, name, section, vector
from wasmoci.errors import InvalidModule, UnsupportedModule
from wasmoci.wasm.module import Module, ModuleKind
from wasmoci.wasm.rewrite import rewrite

CORE = module(
    b"\x41\x0a\x40\0\x1a\x41\0\x11\0\x80\x80\0\x1a\x02\x40\x41\0\x0e\x01\0\0\x0b\xfc\x0a\0\0\xfd\x0c"
    + bytes(16)
    + b"\x1a"
    b"\x1f\x40\x01\0\0\0\x0b\x41\x01",
    types=vector(b"\x60\0\x01\x7f", b"\x5f\x01\x78\x01", b"\x60\x01\x63\0\0"),
    tags=vector(b"\0\0"),
    data_count=b"\x02",
    data=vector(b"\0\x41\0\x0b\x01a", b"\x01\x02bc"),
) + custom("name", b"\x01\x04\x01\0\x01f")
COMPONENT = (
    COMPONENT_PREAMBLE
    + section(1, CORE)
    + section(10, vector(b"\0" + name("wasi:http/types@0.2.3") + b"\x05\0", b"\0" + name("m") + b"\0\x11\0"))
    + section(11, vector(b"\x01" + name("wasi:cli/run@0.2.3") + b"\x05\x01\x01\x03\x01"))
)
SEEDS = {"core": CORE, "component": COMPONENT, "text": b";; text\n(module (; \xc3\xa9 ;) (func))"}


def answer(data: bytes) -> None:
    """Ask everything of a module, and rewrite it; both may refuse, in the two ways that there are."""
    refusal = _refusal(data)
    if isinstance(refusal, InvalidModule):
        assert refusal.offset is not None
        assert 0 <= refusal.offset <= len(data)


def _refusal(data: bytes) -> InvalidModule | UnsupportedModule | None:
    try:
        read = Module.from_bytes(data)
        _ = read.features
        if read.kind is ModuleKind.CORE:
            rewrite(data, shorten=True, max_pages=100)
    except (InvalidModule, UnsupportedModule) as error:
        return error
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_are_sound(seed: str) -> None:
    """What is damaged below is whole before."""
    assert _refusal(SEEDS[seed]) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_every_truncation(seed: str) -> None:
    """A file that ends anywhere is answered."""
    for size in range(len(SEEDS[seed])):
        answer(SEEDS[seed][:size])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("value", [0x00, 0x01, 0x7F, 0x80, 0xFF])
def test_every_byte_changed(seed: str, value: int) -> None:
    """A file with any one byte changed is answered."""
    data = SEEDS[seed]
    for place in range(len(data)):
        answer(data[:place] + bytes([value]) + data[place + 1 :])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_number_put_anywhere(seed: str) -> None:
    """The greatest 32-bit number in any place is answered."""
    data = SEEDS[seed]
    for place in range(8, len(data)):
        answer(data[:place] + b"\xff\xff\xff\xff\x0f" + data[place + 1 :])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"", PREAMBLE, COMPONENT_PREAMBLE, b"("]), st.binary(max_size=200))
def test_random_bytes(head: bytes, tail: bytes) -> None:
    """Random bytes are answered, with a good preamble and without."""
    answer(head + tail)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([PREAMBLE, COMPONENT_PREAMBLE]), st.lists(st.tuples(st.integers(0, 14), st.binary(max_size=40))))
def test_random_sections(head: bytes, sections: list[tuple[int, bytes]]) -> None:
    """Sections of random content are answered."""
    answer(head + b"".join(section(number, content) for number, content in sections))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([CORE, COMPONENT]),
    st.lists(st.tuples(st.integers(8, len(CORE)), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=5),
)
def test_random_changes(data: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    """Modules with bytes replaced, put in and left out are answered."""
    for place, size, new in changes:
        data = data[:place] + new + data[place + size :]
    answer(data)


@pytest.mark.parametrize("number", range(1, 14))
def test_a_count_of_billions_takes_no_memory(number: int) -> None:
    """A section that announces 2**32 - 1 entries is refused before anything is made for them."""
    data = PREAMBLE + section(number, b"\xff\xff\xff\xff\x0f" + bytes(1000))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidModule):
            _ = Module.from_bytes(data).features
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("number", "entry"),
    [(1, b"\x60\0\0"), (2, name("a") + name("") + b"\x03\x7f\0"), (6, b"\x7f\0\x41\0\x0b"), (13, b"\0\0")],
)
def test_more_entries_than_any_module_has_are_refused(number: int, entry: bytes) -> None:
    """What would take hundreds of bytes of memory for each of the file's is bounded."""
    data = PREAMBLE + section(number, leb(100_001) + entry * 100_001)
    with pytest.raises(InvalidModule, match="at most 100000 are supported"):
        Module.from_bytes(data)


@pytest.mark.parametrize("preamble", [PREAMBLE, COMPONENT_PREAMBLE])
def test_more_sections_than_any_module_has_are_refused(preamble: bytes) -> None:
    """Those of the custom kind, and a component's, may be many, and each takes time."""
    with pytest.raises(InvalidModule, match="is made of more than 100000 sections"):
        Module.from_bytes(preamble + section(0, name("")) * 100_001)


@pytest.mark.parametrize(("number", "entry"), [(10, b"\0" + name("a") + b"\1\0"), (11, b"\0" + name("a") + b"\1\0\0")])
def test_more_entries_than_any_component_has_are_refused(number: int, entry: bytes) -> None:
    """All sections of a kind count together."""
    some = section(number, leb(60_000) + entry * 60_000)
    Module.from_bytes(COMPONENT_PREAMBLE + some)
    with pytest.raises(InvalidModule, match="announces 60000 entries; at most 40000 are supported"):
        Module.from_bytes(COMPONENT_PREAMBLE + some + some)


def test_a_long_comment_is_no_text() -> None:
    """The first token is looked for in the first megabyte alone."""
    with pytest.raises(InvalidModule):
        Module.from_bytes(b" " * ((1 << 20) + 1) + b"(module)")
