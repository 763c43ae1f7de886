"""What is particular to wasm3."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable
from tests.support.guests import assembled
from wasmoci.errors import UnsupportedModule
from wasmoci.oci.bundle import Bundle
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers.wasm3 import Wasm3Handler


@pytest.fixture(scope="module")
def handler() -> Wasm3Handler:
    """The handler."""
    usable("wasm3")
    from wasmoci.handlers.wasm3 import Wasm3Handler  # noqa: PLC0415  an engine, which may be missing

    return Wasm3Handler()


def test_what_no_feature_tells_is_found_by_compiling(handler: Wasm3Handler) -> None:
    """A function that is never called is compiled as well: here wasm3's limit of slots for locals is met."""
    locals_ = " i64" * 5000
    module = Module.from_bytes(assembled(f'(module (func (local{locals_})) (func (export "_start")))'))
    with pytest.raises(UnsupportedModule, match=r"wasm3 can't run it: .*stack"):
        handler.validate(module)


def test_checking_a_module_takes_no_memory_for_it(handler: Wasm3Handler, guest: Callable[..., Path]) -> None:
    """A module that begins with a GiB is compiled without it."""
    module = Module.read(guest("huge"))
    handler.validate(module)

    peak = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line).split()[1])
    assert peak < 1 << 20  # KiB


def test_constructors_and_destructors_run(
    handler: Wasm3Handler, guest: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    """The exported ``_start`` is called, and not the inner function that has the name in the name section."""
    bundle = Bundle.load(make_bundle(guest("show"), args=["one", "two"]))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())

    assert result.stdout == b"arg 0: /app.wasm\narg 1: one\narg 2: two\n"


def test_memory_grows_no_further_than_its_maximum(handler: Wasm3Handler, make_bundle: Callable[..., Path]) -> None:
    """A growth by 2**32 - 1 pages, which wasm3 takes for a shrinking by one, is refused."""
    text = """(module (memory (export "memory") 2) (func (export "_start")
        (if (i32.ne (memory.grow (i32.const -1)) (i32.const -1)) (then unreachable))
        (if (i32.ne (memory.size) (i32.const 2)) (then unreachable))))"""
    bundle = Bundle.load(make_bundle(assembled(text)))

    assert handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.null()).reason is ExitReason.EXITED


def test_data_out_of_bounds_are_a_trap(handler: Wasm3Handler, make_bundle: Callable[..., Path]) -> None:
    """A valid module whose data don't fit into its memory traps as it is instantiated, as on any other engine."""
    program = assembled('(module (memory (export "memory") 1) (data (i32.const -1) "data") (func (export "_start")))')
    bundle = Bundle.load(make_bundle(program))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())
    assert (result.reason, result.message) == (ExitReason.TRAPPED, "data segment out of bounds")


def test_deep_recursion_runs(handler: Wasm3Handler, make_bundle: Callable[..., Path]) -> None:
    """Twenty thousand levels of a function with eight parameters and locals are within the stack."""
    text = """(module (func $f (param i32 i64 i64 i64) (local i64 i64 i64 i64)
          (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)) (local.get 1) (local.get 2) (local.get 3)))))
        (func (export "_start") (call $f (i32.const 20000) (i64.const 1) (i64.const 2) (i64.const 3))))"""
    bundle = Bundle.load(make_bundle(assembled(text)))

    assert handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.null()).reason is ExitReason.EXITED


@pytest.mark.parametrize("name", ["hello", "trap"])
def test_memory_stays_flat(
    handler: Wasm3Handler, guest: Callable[..., Path], make_bundle: Callable[..., Path], name: str
) -> None:
    """Many runs take no more memory than a few: everything of wasm3's is freed."""
    bundle = Bundle.load(make_bundle(guest(name)))
    sizes = []
    for _ in range(2):
        for _ in range(150):
            handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    # pywasm3's own objects would keep 600 KiB of each run.
    assert sizes[1] - sizes[0] < 16 << 20


def test_without_pywasm3_the_import_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry shows this reason."""
    for name in [name for name in sys.modules if "wasm3" in name and name.startswith("wasmoci.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wasm3", None)
    with pytest.raises(ImportError, match=r"pywasm3 isn't installed: pip install 'wasmoci\[wasm3\]'"):
        importlib.import_module("wasmoci.handlers.wasm3")


def test_an_abandoned_guest_ends_at_its_next_call(
    handler: Wasm3Handler, guest: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    """A guest for whom nobody waits any more can't go on using files that are closed."""
    from wasmoci.handlers._wasm3.calls import Abandoned  # noqa: PLC0415
    from wasmoci.handlers._wasm3.guest import Guest  # noqa: PLC0415

    bundle = Bundle.load(make_bundle(guest("hello")))
    run = Guest.run

    def abandoned(self: Guest, stack: int) -> object:
        self.abandon()
        return run(self, stack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Guest, "run", abandoned)
        with pytest.raises(Abandoned):
            handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())
