"""A bound on memory, written into the module, on engines that have none and on one that could."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import require
from tests.wasm.assemble import PREAMBLE, custom, function, leb, module, name, section, vector
from tests.wasm.engines import ENGINES, assembled, instantiate
from wasmoci.errors import InvalidModule, UnsupportedModule
from wasmoci.wasm.module import Export, GlobalType, MemoryType, Module, Range
from wasmoci.wasm.rewrite import (
    GROW_FUNCTION,
    MAX_REFUSALS,
    REFUSED_EXPORT,
    InitialMemoryTooLarge,
    OnRefusal,
    limit_memory,
)

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 20
GROW = '(func (export "grow") (param i32) (result i32) local.get 0 memory.grow)'
SIZE = '(func (export "size") (result i32) memory.size)'
LOOP = '(func (export "loop") (param i32) (loop local.get 0 memory.grow drop br 0))'


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("memory", "grown", "results", "size", "refused"),
    [
        ("1", [19], [1], 20, 0),
        ("1", [20], [-1], 1, 1),
        ("1", [5, 14, 1], [1, 6, -1], 20, 1),
        ("1", [100, 100, 3, 100], [-1, -1, 1, -1], 4, 3),
        ("20", [0, 1], [20, -1], 20, 1),
        ("1 30", [29], [-1], 1, 1),
        ("1 30", [30], [-1], 1, 0),  # the guest's own maximum refuses it as well
        ("1", [-1], [-1], 1, 0),  # no memory is that large
        ("1 21", [19, 1, 1], [1, -1, -1], 20, 2),
        ("1 21", [19, 2], [1, -1], 20, 0),
    ],
)
def test_growth(engine: str, memory: str, grown: list[int], results: list[int], size: int, refused: int) -> None:
    """Memory grows up to the bound; what is refused past it is counted, unless the guest's own maximum refuses it."""
    data = limit_memory(assembled(f"(memory {memory}) {GROW} {SIZE}"), LIMIT)
    instance = instantiate(engine, data)
    assert [instance.call("grow", delta) for delta in grown] == results
    assert instance.call("size") == size
    assert instance.read(REFUSED_EXPORT) == refused


@pytest.mark.parametrize("engine", ENGINES)
def test_a_guest_that_asks_without_end_is_stopped(engine: str) -> None:
    """After many refusals in a row the guest traps."""
    instance = instantiate(engine, limit_memory(assembled(f"(memory 1) {LOOP}"), LIMIT))
    assert "unreachable" in instance.call("loop", 1)
    assert instance.read(REFUSED_EXPORT) == MAX_REFUSALS + 1


def test_refusals_in_a_row_are_those_without_growth_between() -> None:
    """Growing by something begins the row anew, asking for the size by growing by nothing doesn't."""
    text = """(func (export "run") (param $between i32) (local $n i32)
        (loop
            (drop (memory.grow (i32.const 30000)))
            (drop (memory.grow (local.get $between)))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 15000)))))"""
    data = limit_memory(assembled(f"(memory 1) {text}"), 20_000)
    assert instantiate("wasmtime", data).call("run", 1) is None
    assert "unreachable" in instantiate("wasmtime", data).call("run", 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_trap_at_once(engine: str) -> None:
    """Where exports can't be read, the first refusal is a trap of its own, but the guest's own maximum is none."""
    data = assembled(f"(memory 1 30) {GROW} {SIZE}")
    instance = instantiate(engine, limit_memory(data, LIMIT, on_refusal=OnRefusal.TRAP))
    assert instance.call("grow", 30) == -1
    assert instance.call("grow", 19) == 1
    assert "divide by zero" in instance.call("grow", 1)
    assert instance.call("size") == LIMIT


def test_the_trap_is_told_by_its_function() -> None:
    """A backtrace names the function that refuses, in modules with names and without."""
    for names in ("", "$memory_user"):
        data = assembled(f'(memory 1) (func {names} (export "f") (drop (memory.grow (i32.const 99))))')
        message = instantiate("wasmtime", limit_memory(data, LIMIT, on_refusal=OnRefusal.TRAP)).call("f")
        assert GROW_FUNCTION in message
        assert names.removeprefix("$") in message


@pytest.mark.skipif(sys.version_info < (3, 11), reason="wasmer-sdk is for Python 3.11 and above")
def test_wasmer_sdk_tells_the_trap(tmp_path: Path) -> None:
    """The engine whose exports can't be read shows the function's name."""
    require(importlib.util.find_spec("wasmer_sdk"), "wasmer-sdk is not installed")
    data = assembled('(memory (export "memory") 1) (func (export "_start") (drop (memory.grow (i32.const 99))))')
    assert GROW_FUNCTION in asyncio.run(_run_on_sdk(limit_memory(data, LIMIT, on_refusal=OnRefusal.TRAP), tmp_path))


async def _run_on_sdk(data: bytes, cache: Path) -> str:
    from wasmer_sdk import PackageCommandDefinition, PackageDefinition, Wasmer, WasmerError  # noqa: PLC0415

    async with Wasmer(cache_root=cache) as wasmer:
        definition = PackageDefinition(modules={"m": data}, commands={"c": PackageCommandDefinition("m")})
        package = await wasmer.packages.create(definition)
        sandbox = await wasmer.sandboxes.create(packages=[package])
        try:
            return str(await sandbox.command("c").run(check=False))
        except WasmerError as error:
            return str(error)


def test_all_memories_together() -> None:
    """The bound is on the sum, whichever memory grows."""
    text = """(memory $a 2) (memory $b i64 3 100)
        (func (export "a") (param i32) (result i32) local.get 0 memory.grow $a)
        (func (export "b") (param i64) (result i64) local.get 0 memory.grow $b)"""
    data = limit_memory(assembled(text), LIMIT)
    instance = instantiate("wasmtime", data)
    assert [instance.call("a", 10), instance.call("b", 6), instance.call("b", 5)] == [2, -1, 3]
    assert [instance.call("a", 1), instance.call("b", 1), instance.call("b", 1000)] == [-1, -1, -1]
    assert instance.read(REFUSED_EXPORT) == 3
    assert Module.from_bytes(data).memories == (MemoryType(Range(2, 17)), MemoryType(Range(3, 18), memory64=True))


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (f"(memory 1 20) {GROW}", 20),
        (f"(memory 1) {GROW}", 65536),
        ("(func)", 20),
        ("(memory 1 2) (memory 3 10)", 12),
    ],
)
def test_a_module_that_can_not_pass_the_bound_is_left_alone(text: str, limit: int) -> None:
    """Nothing is changed where nothing has to be."""
    data = assembled(text)
    assert limit_memory(data, limit) is data


def test_a_module_that_never_grows_only_gets_a_maximum() -> None:
    """Without ``memory.grow`` there is nothing to count."""
    read = Module.from_bytes(limit_memory(assembled('(memory (export "m") 1)'), LIMIT))
    assert read.memories == (MemoryType(Range(1, LIMIT)),)
    assert [export.name for export in read.exports] == ["m"]


def test_nothing_else_changes() -> None:
    """Numbers of functions, types and globals stay, names too; the new ones stand behind them."""
    text = f"""(import "env" "f" (func $imported (param i64)))
        (memory 1) (global $g i32 (i32.const 7)) (table 2 funcref) (elem (i32.const 0) $imported $last)
        {GROW} (func $last (export "last") (result i32) global.get $g) (data (i32.const 0) "memory")"""
    data = assembled(text)
    before, after = Module.from_bytes(data), Module.from_bytes(limit_memory(data, LIMIT))
    assert after.imports == before.imports
    assert after.exports == (*before.exports, Export(REFUSED_EXPORT, "global", GlobalType("i32", mutable=True)))


def test_missing_sections_are_made() -> None:
    """A module without globals and exports gets both, in their places."""
    text = "(memory 1) (func $start (drop (memory.grow (i32.const 99)))) (start $start)"
    assert instantiate("wasmtime", limit_memory(assembled(text), LIMIT)).read(REFUSED_EXPORT) == 1


@pytest.mark.parametrize(
    "names",
    [
        b"",
        b"\0\x02\x01m",
        b"\x01\x04\x01\0\x01f",
        b"\0\x02\x01m\x01\x04\x01\0\x01f\x02\x01\0",
        b"\x02\x01\0",
        b"\x01\x7f",
        b"\x01",
    ],
)
def test_any_name_section_will_do(names: bytes) -> None:
    """The new function's name is added to what is there, and a damaged section does no harm."""
    data = module(b"\x41\x32\x40\0") + custom("other", b"\xff") + custom("name", names) + custom("last")
    instance = instantiate("wasmtime", limit_memory(data, LIMIT))
    assert (instance.call("f"), instance.read(REFUSED_EXPORT)) == (-1, 1)


def test_many_functions() -> None:
    """Sizes and counts that take more bytes than before are written so."""
    count = 127
    bodies = [function(b"\x41\x01" + b"\x41\x32\x40\0\x1a" * 25) for _ in range(count)]
    data = (
        PREAMBLE
        + section(1, vector(b"\x60\0\x01\x7f"))
        + section(3, vector(*[b"\0"] * count))
        + section(5, vector(b"\0\x01"))
        + section(7, vector(*[name(f"f{number}") + b"\0" + leb(number) for number in range(count)]))
        + section(10, vector(*bodies))
    )
    instance = instantiate("wasmtime", limit_memory(data, LIMIT))
    assert [instance.call(f"f{number}") for number in range(count)] == [1] * count
    assert instance.read(REFUSED_EXPORT) == 25 * count


@pytest.mark.parametrize(
    ("written", "limited"),
    [
        (b"\x08\x01\x10", b"\x09\x01\x14\x10"),
        (b"\x09\x01\x1e\x10", b"\x09\x01\x14\x10"),
        (b"\x00\x01", b"\x01\x01\x14"),
    ],
)
def test_the_size_of_a_page_stays(written: bytes, limited: bytes) -> None:
    """A memory may say that its pages have the usual size."""
    before, after = (module(memories=vector(memory)) for memory in (written, limited))
    assert limit_memory(before, LIMIT) == after


def test_too_much_from_the_beginning() -> None:
    """A module that begins with more than it may have has its own error, with both numbers."""
    with pytest.raises(InitialMemoryTooLarge, match=r"app.wasm: begins with 30 pages .* limit is 20 pages"):
        limit_memory(assembled("(memory 10) (memory 20)"), LIMIT, source="app.wasm")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('(import "env" "memory" (memory 1))', "imports its memory"),
        ("(memory 1 (pagesize 1))", "pages of another size"),
        (f'(memory 1) (global (export "{REFUSED_EXPORT}") i32 (i32.const 0)) {GROW}', "which is reserved"),
    ],
)
def test_what_can_not_be_limited(text: str, found: str) -> None:
    """A module whose memory can't be bounded is refused, with the reason."""
    with pytest.raises(UnsupportedModule, match=found):
        limit_memory(assembled(text), LIMIT)


@pytest.mark.parametrize("data", [b"\0asm\x0d\0\x01\0", b"(module (memory 1))"])
def test_only_core_modules_are_rewritten(data: bytes) -> None:
    """A component and a text are refused."""
    with pytest.raises(UnsupportedModule, match="only a core module can be rewritten"):
        limit_memory(data, LIMIT)


def test_growing_a_memory_that_is_not_there() -> None:
    """Such a module is damaged."""
    with pytest.raises(InvalidModule, match="there is no memory 1"):
        limit_memory(module(b"\x41\0\x40\x01\x1a\x41\0\x40\0"), LIMIT)
