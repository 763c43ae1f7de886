"""A guest that is run from an interpreter other than the main one has its own status and its output, or isn't run at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ENGINES, usable
from tests.support.requirements import require
from wasmoci.testing import bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.oci.bundle import Bundle

# It writes, and exits with 3.
GUEST = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 100) "hello\\n") (data (i32.const 0) "\\64\\00\\00\\00\\06\\00\\00\\00")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20))) (call $exit (i32.const 3))))"""
DONE = "3 exited b'hello\\n'"

# What an application does. It tells by a file, as not every interpreter's standard output is looked at when the process ends.
APPLICATION = """
import sys
sys.path[:] = {path!r}
import wasmoci
try:
    result = wasmoci.run({bundle!r}, engine={engine!r}, isolation={isolation!r}, timeout={timeout!r})
    told = "%d %s %r" % (result.exit_code, result.reason.value, result.stdout)
except wasmoci.EngineError as error:
    told = "refused: " + str(error)
with open({file!r}, "w") as file:
    file.write(told)
"""

# What the program around it does, in each of the ways to have another interpreter.
PROGRAM = """
import ctypes, json, os, sys
how, library, codes = json.loads(sys.argv[1])
if how == "isolated":
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    run = getattr(interpreters, "exec", None) or interpreters.run_string
    run(interpreters.create(), codes[0])
else:
    embedding = ctypes.PyDLL(library)
    ended = getattr(embedding, how)(*(code.encode() for code in codes[: 1 if how == "here" else 2]))
    assert ended == 0
os._exit(0)  # what becomes of the interpreters' own modules at the end is not ours
"""


@pytest.fixture(scope="session")
def embedding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes interpreters as a program in C does."""
    compiler = shutil.which("cc")
    require(compiler, "no C compiler is installed")
    library = tmp_path_factory.mktemp("embedding") / "two_interpreters.so"
    source = Path(__file__).with_name("two_interpreters.c")
    subprocess.run([str(compiler), "-shared", "-fPIC", "-pthread", "-o", str(library), str(source)], check=True)
    return library


@pytest.fixture
def run(tmp_path: Path, embedding: Path) -> Callable[..., list[str]]:
    """Runs a bundle in other interpreters, and gives what each has told."""

    def call(how: str, made: Bundle, engine: str, isolation: str | None, timeout: float | None = None) -> list[str]:
        files = [tmp_path / "first", tmp_path / "second"][: 2 if how == "there" else 1]
        codes = [
            APPLICATION.format(
                path=sys.path,
                bundle=str(made.path),
                engine=engine,
                isolation=isolation,
                timeout=timeout,
                file=str(file),
            )
            for file in files
        ]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps([how, str(embedding), codes])],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
        return [file.read_text() for file in files]

    return call


@pytest.mark.parametrize("timeout", [None, 60.0], ids=["", "with a time limit"])
@pytest.mark.parametrize("how", ["here", "there", "isolated"])
@pytest.mark.parametrize("engine", ENGINES)
def test_inline(run: Callable[..., list[str]], tmp_path: Path, engine: str, how: str, timeout: float | None) -> None:
    """In the caller's process it runs as in the main interpreter, or it is refused before it begins, with what to do."""
    usable(engine)
    made = bundle(tmp_path / "bundle", GUEST)
    for told in run(how, made, engine, None if timeout else "inline", timeout):
        refused = (
            how == "isolated" and told.startswith("refused: ") and ("'process'" in told or "main interpreter" in told)
        )
        assert told == DONE or refused, told


@pytest.mark.parametrize("how", ["here", "there"])
@pytest.mark.parametrize("engine", ENGINES)
def test_process(run: Callable[..., list[str]], tmp_path: Path, engine: str, how: str) -> None:
    """In a process of its own it runs as from the main interpreter."""
    usable(engine)
    made = bundle(tmp_path / "bundle", GUEST)
    assert set(run(how, made, engine, "process")) == {DONE}


COMPONENT = Path(__file__).parents[2] / "wasmoci/testing/guests/component.wasm"


def test_component(run: Callable[..., list[str]], tmp_path: Path) -> None:
    """A component is refused: its output comes on threads of wasmtime's own, whose call-backs go to the main interpreter."""
    usable("wasmtime")
    made = bundle(tmp_path / "bundle", COMPONENT)
    [told] = run("here", made, "wasmtime", "inline")
    assert told.startswith("refused: wasmtime can't run a guest in this sub-interpreter"), told
    [told] = run("here", made, "wasmtime", "process")
    assert not told.startswith("refused"), told
