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
print("imported:", *sorted({"wasmtime", "wasm3", "wasmer", "wasmer_sdk", "wasmoci.binary.edits"} & set(sys.modules)))
"""
CREATE = """
import sys
from wasmoci.bundle import Bundle
from wasmoci.dispatcher import Dispatcher
from wasmoci.runtime import program
dispatcher = Dispatcher()
found = program.of_bundle(Bundle.load(sys.argv[1]))
chosen = program.choose(dispatcher, found, named=sys.argv[2] or None)
program.compile_for(chosen.handler, found)
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
LIBRARIES = [
    ("wasmtime", "libwasmtime"),
    ("wasm3", ""),  # it is no sandbox, and looks at a module in a process of its own
    ("wasmer", "" if sys.version_info >= (3, 11) else "/wasmer."),  # the SDK has a process of its own
]


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
@pytest.mark.parametrize(("engine", "library"), LIBRARIES)
def test_known_module(answer: Callable[..., list[str]], code: str, engine: str, library: str) -> None:
    """The first process has an engine look at a module, and opens its library; the next one doesn't."""
    usable(engine)
    assert answer(CREATE, engine)[:2] == [engine, f"mapped: {library}".rstrip()]
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
