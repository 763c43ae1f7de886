"""Many runs in one process on wasmtime."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.handlers.wasmtime import WasmtimeHandler
from wasmoci.limits import Limits
from wasmoci.result import ExitReason
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from tests.handlers.wasmtime.conftest import Run
    from wasmoci.result import ExecutionResult

FILES = {"/work/x": "X"}
LINKS = {"/link": "/work/x"}


def _some(run: Run, number: int) -> tuple[ExecutionResult, object]:
    kind = number % 6
    if kind == 0:
        return run("files", "read", "/link", files=FILES, symlinks=LINKS), 0
    if kind == 1:
        return run("exit", "200", limits=Limits(time=60)), 200
    if kind == 2:
        return run("trap"), ExitReason.TRAPPED
    if kind == 3:
        return run("loop", limits=Limits(time=0.02)), ExitReason.TIMED_OUT
    if kind == 4:
        return run("allocate", "abort", limits=Limits(memory=4 << 20)), ExitReason.OUT_OF_MEMORY
    return run("files", "read", "x", files=FILES, cwd="/work"), 0


def test_threads(run: Run) -> None:
    """Runs at the same time don't get each other's codes, ends and exceptions."""
    for number in range(6):  # compiled one by one
        _some(run, number)
    with ThreadPoolExecutor(8) as executor:
        for result, expected in executor.map(lambda number: _some(run, number), range(120)):
            assert expected in (result.exit_code, result.reason), result


def test_text_is_assembled_once() -> None:
    """The same module stays the same, another one is another, and none is kept for longer than its text."""
    handler = WasmtimeHandler()
    first, second = (Module.from_bytes(b'(module (func (export "%s")))' % name) for name in (b"a", b"b"))
    assert handler.assemble(first) is handler.assemble(first)
    assert [module.exports[0].name for module in map(handler.assemble, (first, second))] == ["a", "b"]
    kept = weakref.ref(handler.assemble(first))
    del first
    gc.collect()
    assert kept() is None


def test_nothing_left(run: Run) -> None:
    """Descriptors, threads, and what is kept for call-backs are as before, and the process as well."""
    from wasmoci.handlers._wasmtime import linear_memory, outputs  # noqa: PLC0415

    def state() -> tuple[object, ...]:
        gc.collect()
        return (
            sorted(os.listdir("/proc/self/fd")),  # noqa: PTH208  names are all it takes
            threading.enumerate(),
            len(outputs._loans),
            len(linear_memory._memories),
            Path.cwd(),
            dict(os.environ),
        )

    for number in range(12):
        _some(run, number)
    before = state()
    for number in range(24):
        _some(run, number)
    assert state() == before


def test_cache() -> None:
    """A cache makes each value once, and drops those that weren't used for longest."""
    from wasmoci.host.file_cache import Cache  # noqa: PLC0415

    made: list[str] = []

    def get(key: str, cost: int) -> str:
        def make() -> str:
            made.append(key)
            return key

        return cache.get(key, cost, make)

    cache = Cache(count=2, cost=10)
    assert [get(key, 1) for key in "abab"] == list("abab")
    assert made == ["a", "b"]
    get("c", 1)
    get("b", 1)
    get("a", 1)
    assert made == ["a", "b", "c", "a"]
    get("huge", 100)
    get("huge", 100)
    get("a", 1)
    assert made == ["a", "b", "c", "a", "huge", "a"]
