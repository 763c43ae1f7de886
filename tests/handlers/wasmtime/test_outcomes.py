"""How guests end on wasmtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.result import ExitReason

if TYPE_CHECKING:
    from tests.handlers.wasmtime.conftest import Run

EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("unreachable", "wasm `unreachable` instruction executed"),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "integer divide by zero"),
        (
            "(drop (i32.load (i32.const -4)))",
            "memory fault at wasm address 0xfffffffc in linear memory of size 0x10000: out of bounds memory access",
        ),
        ("(call $f)", "call stack exhausted"),
        ("(call_indirect (i32.const 0))", "uninitialized element"),
        ("(throw $t)", "thrown Wasm exception"),
    ],
)
def test_trap(run: Run, body: str, message: str) -> None:
    """A trap has the engine's message in one line."""
    result = run(f'(module (memory 1) (table 1 funcref) (tag $t) (func $f (export "_start") {body}))')
    assert (result.reason, result.exit_code) == (ExitReason.TRAPPED, 134)
    assert message in result.message
    assert "\n" not in result.message


def test_backtrace(run: Run) -> None:
    """The frames come innermost first, each with its names and place."""
    result = run('(module $app (func $in unreachable) (func $out (call $in)) (func (export "_start") (call $out)))')
    assert [frame.split(" (0x")[0] for frame in result.backtrace] == ["app!in", "app!out", "app!<wasm function 2>"]
    assert all(frame.endswith(")") for frame in result.backtrace)


def test_missing_memory(run: Run) -> None:
    """A guest that calls WASI and exports no memory traps; so says the message."""
    imported = '(import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))'
    call = "(drop (call $w (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))"
    assert run(f'(module {imported} (func (export "_start") {call}))').message == "missing required memory export"


def test_results_dropped(run: Run) -> None:
    """What the entry function returns, references too, is no exit code."""
    text = '(module (func (export "f") (result i32 externref funcref) i32.const 7 ref.null extern ref.null func))'
    assert run(text, entry="/app.wasm#f").exit_code == 0
