"""What is asked of the handler before a guest runs is answered without the engine, where somebody has compiled the guest."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPENED = """
print("opened:", *{line.split("/")[-1].strip() for line in open("/proc/self/maps") if "libwasmtime" in line})
print("imported:", *(name for name in sys.modules if name.split(".")[0] == "wasmtime"))
"""
CREATE = """
import sys
from wasmoci.bundle import Bundle
from wasmoci.dispatcher import Dispatcher
from wasmoci.runtime import program
dispatcher = Dispatcher()
found = program.of_bundle(Bundle.load(sys.argv[1]))
chosen = program.choose(dispatcher, found, named=sys.argv[2] or None)
print(chosen.handler.name, program.compile_for(chosen.handler, found).file.is_file())
"""
EXPLAIN = """
import sys, wasmoci
print(wasmoci.explain(sys.argv[1], engine=sys.argv[2] or None).runs_on, True)
"""


@pytest.mark.parametrize("named", ["wasmtime", ""], ids=["named", "chosen"])
@pytest.mark.parametrize("code", [CREATE, EXPLAIN], ids=["create", "explain"])
def test_known_module(
    make_bundle: Callable[..., Path],
    guest: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    named: str,
) -> None:
    """The first process has wasmtime look at a module, and opens its library; the next one doesn't."""
    require(importlib.util.find_spec("wasmtime"), "these tests need wasmtime: pip install wasmtime")
    monkeypatch.setenv("WASMOCI_CACHE", str(tmp_path / "cache"))
    bundle = make_bundle(guest("hello"))

    def answer(code: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code + OPENED, str(bundle), named], capture_output=True, check=True, text=True
        )
        return done.stdout.splitlines()

    assert answer(CREATE) == ["wasmtime True", "opened: _libwasmtime.so", "imported:"]
    assert answer(code) == ["wasmtime True", "opened:", "imported:"]
