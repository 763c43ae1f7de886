"""Modules that wasmtime doesn't take, and what the errors say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from wasmoci.errors import InvalidModule, UnsupportedModule
from wasmoci.handlers._wasmtime import refusals
from wasmoci.wasm.module import Feature, Module

if TYPE_CHECKING:
    from tests.handlers.wasmtime.conftest import Run
    from wasmoci.handlers.wasmtime import WasmtimeHandler

START = '(func (export "_start"))'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('(import "env" "memory" (memory 1))', "env.memory"),
        ('(import "wasi_snapshot_preview1" "proc_exit" (func (param i64)))', "(i64)"),
        ('(import "wasi_snapshot_preview1" "proc_exit" (global i32))', "proc_exit as global"),
        ("(memory 1 2 shared)", "for several threads"),
    ],
)
def test_imports(run: Run, text: str, message: str) -> None:
    """What nobody provides is named, before anything runs."""
    with pytest.raises(UnsupportedModule, match=re.escape(message)):
        run(f"(module {text} {START})")


def test_text(run: Run) -> None:
    """An error in a text has its line and column."""
    with pytest.raises(InvalidModule, match=re.escape("/app.wat: line 2, column 3: unknown operator")):
        run("(module (func\n  i32.foo))", program="/app.wat")


@pytest.mark.parametrize("text", ["(module", "(module (func $a) (func $a))", "(module (func (call 7)))", '(module "'])
def test_bad_text(run: Run, text: str) -> None:
    """Whatever is wrong with a text is one error."""
    with pytest.raises(InvalidModule, match=r"/app\.wasm"):
        run(text)


def test_invalid_code(run: Run, handler: WasmtimeHandler) -> None:
    """Code that isn't valid has its offset."""
    good = handler.assemble(Module.from_bytes(b'(module (func (export "_start") nop nop))')).data
    bad = good.replace(b"\x01\x01\x0b", b"\x01\x6a\x0b")
    assert bad != good
    with pytest.raises(InvalidModule, match="byte 0x") as caught:
        run(bad)
    assert caught.value.offset == bad.index(b"\x01\x6a\x0b") + 1


def test_every_byte_changed(run: Run, handler: WasmtimeHandler) -> None:
    """A module with any byte changed runs, or is refused by one of our errors."""
    text = b'(module (memory (export "memory") 1) (data (i32.const 0) "x") (func (export "_start") nop))'
    good = handler.assemble(Module.from_bytes(text)).data
    refused = 0
    for index in range(8, len(good)):
        try:
            run(good[:index] + bytes([good[index] ^ 0x15]) + good[index + 1 :])
        except (InvalidModule, UnsupportedModule):
            refused += 1
        except Exception as error:  # noqa: BLE001
            assert type(error).__name__ == "EntrypointError"  # noqa: PT017  the export's name was changed
    assert refused > len(good) // 4


@pytest.mark.parametrize(("version", "expected"), [(48, False), (49, True), (50, True)])
def test_features_of_a_version(monkeypatch: pytest.MonkeyPatch, version: int, *, expected: bool) -> None:
    """What a version doesn't call stable yet isn't among its features."""
    monkeypatch.setattr(refusals, "major", lambda: version)
    assert (Feature.WIDE_ARITHMETIC in refusals.features()) is expected
