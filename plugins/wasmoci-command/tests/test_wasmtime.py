"""The program wasmtime, for real."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from wasmoci_command.wasmtime import WasmtimeProgram

from wasmoci import (
    EngineUnavailable,
    ExecutionResult,
    ExitReason,
    Limits,
    Stdio,
    UnsupportedModule,
    UnsupportedWorkload,
)
from wasmoci.testing import bundle

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\\10\\00\\00\\00\\06\\00\\00\\00guest\\n")
  (func (export "_initialize") (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))
  (func (export "named"))
  (func (export "answer") (result i32) (i32.const 42))
  (func $inner CODE)
  (func (export "_start") (call $inner)))"""
SAY = "(drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 0)))"
ADD_OF_NOTHING = bytes.fromhex("0061736d01000000 010401600000 03020100 070a01065f73746172740000 0a050103006a0b")
NO_LIMITS = Limits()
GROW = "(if (i32.eq (memory.grow (i32.const 8)) (i32.const -1)) (then unreachable))"


@pytest.fixture(scope="module")
def handler() -> WasmtimeProgram:
    """The handler."""
    try:
        return WasmtimeProgram()
    except EngineUnavailable as error:
        if os.environ.get("WASMOCI_REQUIRE_ALL") == "1":
            raise
        pytest.skip(str(error))


def run(
    handler: WasmtimeProgram, directory: Path, code: str, limits: Limits = NO_LIMITS, **options: Any
) -> ExecutionResult:
    """Run a guest that executes the code."""
    made = bundle(directory / "bundle", MODULE.replace("CODE", code), **options)
    return handler.execute(made.spec, made.rootfs, stdio=Stdio.capture(), limits=limits)


@pytest.mark.parametrize("code", [0, 1, 2, 7, 124, 125])
def test_exit_code(handler: WasmtimeProgram, tmp_path: Path, code: int) -> None:
    """Codes up to 125 are the guest's."""
    result = run(handler, tmp_path, f"(call $exit (i32.const {code}))")
    assert (result.reason, result.exit_code, result.message) == (ExitReason.EXITED, code, "")


@pytest.mark.parametrize("code", [126, 134, 256, -1])
def test_exit_code_that_is_lost(handler: WasmtimeProgram, tmp_path: Path, code: int) -> None:
    """Of a higher code the program tells only that there was one: it is no trap, and no success."""
    result = run(handler, tmp_path, f"(call $exit (i32.const {code}))")
    assert (result.reason, result.exit_code, result.stderr) == (ExitReason.EXITED, 255, b"")
    assert "above 125" in result.message


def test_trap(handler: WasmtimeProgram, tmp_path: Path) -> None:
    """Its report is message and backtrace, and not part of what the guest wrote."""
    result = run(handler, tmp_path, f"{SAY} unreachable")
    assert (result.reason, result.exit_code, result.stderr) == (ExitReason.TRAPPED, 134, b"guest\n")
    assert result.message == "wasm trap: wasm `unreachable` instruction executed"
    assert [frame.partition("!")[2] for frame in result.backtrace] == ["inner", "<wasm function 6>"]


def test_words_of_a_guest_are_no_report(handler: WasmtimeProgram, tmp_path: Path) -> None:
    """A guest that fails and writes is taken at its exit code."""
    result = run(handler, tmp_path, f"{SAY} (call $exit (i32.const 1))")
    assert (result.reason, result.exit_code, result.stderr) == (ExitReason.EXITED, 1, b"guest\n")


@pytest.mark.parametrize(("memory", "reason"), [(1 << 20, ExitReason.EXITED), (128 << 10, ExitReason.OUT_OF_MEMORY)])
def test_memory_limit(handler: WasmtimeProgram, tmp_path: Path, memory: int, reason: ExitReason) -> None:
    """A growth beyond it ends the guest, and is told apart from other traps."""
    assert run(handler, tmp_path, GROW, Limits(memory=memory)).reason is reason


def test_memory_that_is_too_large_from_the_beginning(handler: WasmtimeProgram, tmp_path: Path) -> None:
    """A module that begins with more than its limit is out of memory."""
    result = run(handler, tmp_path, "", Limits(memory=1000))
    assert (result.reason, result.exit_code) == (ExitReason.OUT_OF_MEMORY, 137)


def test_time_limit(handler: WasmtimeProgram, tmp_path: Path) -> None:
    """An endless loop is ended."""
    assert run(handler, tmp_path, "(loop (br 0))", Limits(time=0.3)).reason is ExitReason.TIMED_OUT


def test_named_function(handler: WasmtimeProgram, tmp_path: Path) -> None:
    """It is called behind ``_initialize``; one that returns something would be printed, and is refused."""
    assert run(handler, tmp_path / "named", "", entry="/app.wasm#named").stdout == b"guest\n"
    with pytest.raises(UnsupportedWorkload, match="returns"):
        run(handler, tmp_path / "answer", "", entry="/app.wasm#answer")


def test_module_that_is_not_valid(handler: WasmtimeProgram, tmp_path: Path) -> None:
    """The program's compiler refuses it before anything runs."""
    made = bundle(tmp_path / "bundle", ADD_OF_NOTHING)
    with pytest.raises(UnsupportedModule, match="wasmtime can't run it"):
        handler.execute(made.spec, made.rootfs, stdio=Stdio.capture())
