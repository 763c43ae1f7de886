"""How guests end on wasmtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.errors import EntrypointError
from wasmoci.result import ExitReason

if TYPE_CHECKING:
    from tests.handlers.wasmtime.conftest import Run

EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'


@pytest.mark.parametrize("code", [0, 1, 7, 125, 126, 127, 255, 256, 2**31, 2**32 - 1])
def test_exit_code(run: Run, code: int) -> None:
    """A code arrives whole, also where wasmtime's own function refuses it."""
    result = run(f'(module {EXIT} (func (export "_start") (call $exit (i32.const {code})) unreachable))')
    assert (result.reason, result.exit_code, result.message) == (ExitReason.EXITED, code, "")


def test_return(run: Run) -> None:
    """A guest that returns has exited with 0."""
    result = run("hello")
    assert (result.reason, result.exit_code, result.stdout) == (ExitReason.EXITED, 0, b"Hello, World!\n")


def test_exit_in_start_function(run: Run) -> None:
    """A guest may exit while it is instantiated."""
    text = f'(module {EXIT} (func $s (call $exit (i32.const 300))) (start $s) (func (export "_start") unreachable))'
    assert run(text).exit_code == 300


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


def test_output_before_trap(run: Run) -> None:
    """What a guest wrote before it trapped isn't lost."""
    result = run("trap")
    assert (result.stdout, result.stderr) == (b"before\n", b"about to trap\n")
    assert result.backtrace[0].startswith("fault (0x")


def test_missing_memory(run: Run) -> None:
    """A guest that calls WASI and exports no memory traps; so says the message."""
    imported = '(import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))'
    call = "(drop (call $w (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))"
    assert run(f'(module {imported} (func (export "_start") {call}))').message == "missing required memory export"


def test_results_dropped(run: Run) -> None:
    """What the entry function returns, references too, is no exit code."""
    text = '(module (func (export "f") (result i32 externref funcref) i32.const 7 ref.null extern ref.null func))'
    assert run(text, entry="/app.wasm#f").exit_code == 0


@pytest.mark.parametrize(("function", "exit_code"), [("f", 7), ("_initialize", 0)])
def test_reactor(run: Run, function: str, exit_code: int) -> None:
    """A library is initialised before its function is called."""
    text = f"""(module {EXIT} (global $code (mut i32) (i32.const 1))
        (func (export "_initialize") (global.set $code (i32.add (global.get $code) (i32.const 6))))
        (func (export "f") (call $exit (global.get $code))))"""
    assert run(text, entry=f"/app.wasm#{function}").exit_code == exit_code


@pytest.mark.parametrize("entry", ["/app.wasm", "/app.wasm#g", "/app.wasm#takes"])
def test_no_function(run: Run, entry: str) -> None:
    """Without the function, or when it takes parameters, nothing runs."""
    with pytest.raises(EntrypointError):
        run('(module (func (export "takes") (param i32)) (func (export "f")))', entry=entry)
