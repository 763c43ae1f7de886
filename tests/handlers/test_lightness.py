"""What is asked of a handler before a guest runs is answered without its engine, where somebody has compiled the guest."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOADED = """
print("mapped:", *sorted({name for line in open("/proc/self/maps") for name in ("libwasmtime", "/wasm3.", "/wasmer.") if name in line}))
print("imported:", *sorted({"wasmtime", "wasm3", "wasmer", "wasmer_sdk", "wasmoci.wasm.edits"} & set(sys.modules)))
"""
CREATE = """
import sys
from wasmoci.oci.bundle import Bundle
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.runtime import module_choice
from wasmoci.runtime.compile_group import CompileGroup
dispatcher = Dispatcher()
found = module_choice.of_bundle(Bundle.load(sys.argv[1]))
with CompileGroup(None, {}) as group:
    chosen = module_choice.choose(dispatcher, found, named=sys.argv[2] or None, group=group, compiles=True)
module_choice.compiled_for(chosen.handler, found)
print(chosen.handler.name)
"""
EXPLAIN = """
import sys, wasmoci
print(wasmoci.explain(sys.argv[1], engine=sys.argv[2] or None).runs_on)
"""
RUN = """
import sys, wasmoci
print(wasmoci.run(sys.argv[1], engine=sys.argv[2], isolation="inline").check().engine)
"""
ENGINES = ("wasmtime", "wasm3", "wasmer")


@pytest.fixture
def answer(
    make_bundle: Callable[..., Path], guest: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Has a process of its own say something of a bundle; all have one cache."""
    monkeypatch.setenv("WASMOCI_CACHE", str(tmp_path / "cache"))
    bundle = make_bundle(guest("hello"))

    def answer(code: str, engine: str) -> list[str]:
        command = [sys.executable, "-c", code + LOADED, str(bundle), engine]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()

    return answer


@pytest.mark.parametrize("code", [CREATE, EXPLAIN], ids=["create", "explain"])
@pytest.mark.parametrize("engine", ENGINES)
def test_known_module(answer: Callable[..., list[str]], code: str, engine: str) -> None:
    """The first process has an engine look at a module in a process of its own, and the next one has it not look."""
    usable(engine)
    assert answer(CREATE, engine)[:2] == [engine, "mapped:"]
    assert answer(code, engine) == [engine, "mapped:", "imported:"]


def test_chosen_engine(answer: Callable[..., list[str]]) -> None:
    """Neither does one that chooses the engine."""
    usable("wasmtime")
    answer(CREATE, "wasmtime")
    assert answer(CREATE, "") == ["wasmtime", "mapped:", "imported:"]


@pytest.mark.parametrize(("engine", "library"), [("wasmtime", "libwasmtime"), ("wasm3", "/wasm3.")])
def test_run(answer: Callable[..., list[str]], engine: str, library: str) -> None:
    """A run opens its engine's library alone, and one of a known module doesn't load what writes modules again."""
    usable(engine)
    answer(RUN, engine)
    assert answer(RUN, engine) == [engine, f"mapped: {library}", "imported:"]
