"""Start functions that are called and not run."""

from __future__ import annotations

import pytest
import wasmtime

from wasmoci.errors import UnsupportedModule
from wasmoci.wasm.start_function import START_EXPORT, export_start

COUNTING = """(module
  (global $count (export "count") (mut i32) (i32.const 0))
  (func $begin (global.set $count (i32.const 7))) %s (start $begin))"""


@pytest.mark.parametrize("exports", ["", '(func (export "other"))'])
def test_exported(exports: str) -> None:
    """Instantiation doesn't run it any more; its export does."""
    store = wasmtime.Store()
    data = export_start(bytes(wasmtime.wat2wasm(COUNTING % exports)))
    exported = wasmtime.Instance(store, wasmtime.Module(store.engine, data), []).exports(store)
    count, begin = exported["count"], exported[START_EXPORT]
    assert isinstance(count, wasmtime.Global)
    assert isinstance(begin, wasmtime.Func)
    assert count.value(store) == 0
    begin(store)
    assert count.value(store) == 7


def test_none() -> None:
    """A module without one is left alone."""
    data = bytes(wasmtime.wat2wasm('(module (func (export "_start")))'))
    assert export_start(data) is data


def test_reserved_name() -> None:
    """A module that exports the name itself is refused."""
    data = bytes(wasmtime.wat2wasm(f'(module (func $f (export "{START_EXPORT}")) (start $f))'))
    with pytest.raises(UnsupportedModule, match="reserved"):
        export_start(data, source="app.wasm")
