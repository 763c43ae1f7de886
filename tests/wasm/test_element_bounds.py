"""Whether elements are within their tables."""

from __future__ import annotations

import pytest

from tests.support.guests import assembled
from wasmoci.wasm.module import Module


@pytest.mark.parametrize(
    ("parts", "fits"),
    [
        ("", True),
        ("(table 1 funcref)", True),
        ("(table 1 funcref) (elem (i32.const 0) $f)", True),
        ("(table 1 funcref) (elem (i32.const 1) $f)", False),
        ("(table 1 funcref) (elem (i32.const -1) $f)", False),
        ("(table 1 funcref) (elem (i32.const 1) func)", True),
        ("(table 1 funcref) (elem (i32.const 2) func)", False),
        ("(table 3 funcref) (elem (i32.const 0) $f $f) (elem (i32.const 2) $f $f)", False),
        ("(table 1 funcref) (elem func $f $f) (elem declare func $f $f)", True),
        ("(table 1 funcref) (elem funcref (ref.func $f) (ref.null func))", True),
        ("(table 1 funcref) (elem (i32.const 0) funcref (ref.func $f) (ref.null func))", False),
        ("(table 1 funcref) (table $t 2 funcref) (elem (table $t) (i32.const 1) func $f)", True),
        ("(table 1 funcref) (table $t 2 funcref) (elem (table $t) (i32.const 2) func $f)", False),
        ("(global $g i32 (i32.const 1)) (table 1 funcref) (elem (global.get $g) $f) (elem (i32.const 1) $f)", False),
    ],
)
def test_elements(parts: str, fits: bool) -> None:  # noqa: FBT001
    """Segments of every kind; where an offset isn't a constant, nobody knows, and the next one is looked at."""
    assert Module.from_bytes(assembled(f"(module (func $f) {parts})")).elements_fit == fits


def test_texts() -> None:
    """There is nothing to be told of them."""
    assert Module.from_bytes(b"(module)").elements_fit
