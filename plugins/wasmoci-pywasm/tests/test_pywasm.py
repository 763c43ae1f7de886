"""What is particular to pywasm; the contract of a handler is tested by test_conformance.py."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import wasmoci
from wasmoci import ExitReason
from wasmoci.testing import bundle

if TYPE_CHECKING:
    from pathlib import Path

TRAPS = {
    "unreachable": ("unreachable", "unreachable"),
    "out of bounds": ("(drop (i32.load (i32.const 65533)))", "out of bounds memory access (i32.load)"),
    "store": ("(i32.store (i32.const -1) (i32.const 0))", "out of bounds memory access (i32.store)"),
    "division by zero": ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer division by zero"),
    "too large a quotient": ("(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))", "overflow"),
    "no integer": ("(drop (i32.trunc_f32_s (f32.const nan)))", "a float that can't be converted to an integer"),
    "no function": ("(call_indirect (i32.const 0))", "an indirect call without a function"),
    "endless recursion": ("(call $_start)", "call stack exhausted"),
}


def run(directory: Path, code: str, **limits: float) -> wasmoci.ExecutionResult:
    """Run a module whose entry function is the code."""
    text = f'(module (memory (export "memory") 1) (table 1 funcref) (func $_start (export "_start") {code}))'
    return wasmoci.run(bundle(directory / "bundle", text), engine="pywasm", **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TRAPS)
def test_trap(tmp_path: Path, name: str) -> None:
    """A trap's message says what the instruction's trap means."""
    code, message = TRAPS[name]
    result = run(tmp_path, code)
    assert (result.reason, result.exit_code) == (ExitReason.TRAPPED, 134)
    assert message in result.message


def test_memory_limit_is_told_apart(tmp_path: Path) -> None:
    """A guest that traps after it was refused memory by its limit was out of memory."""
    code = "(if (i32.eq (memory.grow (i32.const 8)) (i32.const -1)) (then unreachable))"
    assert run(tmp_path / "within", code, memory=1 << 20).ok
    result = run(tmp_path / "beyond", code, memory=128 << 10)
    assert (result.reason, result.exit_code) == (ExitReason.OUT_OF_MEMORY, 137)


def test_time_limit_holds_in_a_worker_process(tmp_path: Path) -> None:
    """An endless loop ends at its time limit."""
    assert run(tmp_path, "(loop (br 0))", timeout=0.5).reason is ExitReason.TIMED_OUT


def test_unavailable_without_assertions() -> None:
    """Under ``python -O`` pywasm doesn't check bounds, so the engine can't be used."""
    code = "import wasmoci.dispatch.registry as r; print(r.default().status('pywasm').reason)"
    shown = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=True).stdout
    assert "python -O" in shown
