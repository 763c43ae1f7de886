"""Which functions of a module are called, and where it runs without any, on every engine: as wasmtime's program does."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable
from tests.support.guests import assembled
from wasmoci.errors import EntrypointError
from wasmoci.oci.bundle import Bundle
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.handlers.base import BaseHandler

MODULE = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (global $begun (mut i32) (i32.const 0))
  (func $begin (global.set $begun (i32.const 1)))
  (func $end (call $exit (i32.add (i32.const 40) (global.get $begun)))) (func $trap unreachable)
  {})"""


@pytest.fixture(scope="module", params=["wasmtime", "wasmer", "wasm3"])
def handler(request: pytest.FixtureRequest) -> BaseHandler:
    """Each of the handlers."""
    usable(request.param)
    module = importlib.import_module(f"wasmoci.handlers.{request.param}")
    made: BaseHandler = getattr(module, f"{request.param.capitalize()}Handler")()
    return made


@pytest.mark.parametrize(
    ("parts", "entry", "code"),
    [
        ('(export "" (func $end)) (export "_start" (func $trap))', "/app.wasm", 40),
        ('(export "" (func $end)) (export "_start" (func $trap))', "/app.wasm#", 40),
        ('(export "_initialize" (func $begin)) (export "" (func $end))', "/app.wasm", 41),
        ('(export "_initialize" (func $begin)) (export "_start" (func $end))', "/app.wasm", 41),
        ('(export "_initialize" (func $begin)) (export "_start" (func $end))', "/app.wasm#_start", 41),
        ("(start $end)", "/app.wasm", 40),
        ("(start $begin)", "/app.wasm", 0),
    ],
)
def test_what_is_called(
    handler: BaseHandler, make_bundle: Callable[..., Path], parts: str, entry: str, code: int
) -> None:
    """The export without a name, or else ``_start``, after ``_initialize``; or nothing but the start function."""
    bundle = Bundle.load(make_bundle(assembled(MODULE.format(parts)), entry=entry))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, code), result


def test_a_command_of_another_wasi(make_bundle: Callable[..., Path]) -> None:
    """A component that exports ``wasi:cli/run`` of WASI 0.3 is told so, and not that it exports none."""
    usable("wasmtime")
    handler = importlib.import_module("wasmoci.handlers.wasmtime").WasmtimeHandler()
    component = """(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
      (func $f (canon lift (core func $i "f"))) (instance $run (export "run" (func $f)))
      (export "wasi:cli/run@0.3.0" (instance $run)))"""
    bundle = Bundle.load(make_bundle(assembled(component)))
    with pytest.raises(EntrypointError, match=r"another WASI than 0\.2: it exports wasi:cli/run@0\.3\.0"):
        handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())
