"""What comes between an engine and a call-back: signals, recursion, forks, the interpreter itself. None of it ends a guest well."""

from __future__ import annotations

import ast
import ctypes
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import usable
from tests.support.requirements import SMOKE
from wasmoci.dispatch import registry
from wasmoci.errors import EngineError
from wasmoci.handlers._callback_entries import Entry, Marked, addresses, reader
from wasmoci.limits import Limits
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream
from wasmoci.testing import bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.handlers.base import BaseHandler

# It writes a byte as often as its number says, and exits with 9 when a write fails.
WRITER = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 100) "x") (data (i32.const 0) "\\64\\00\\00\\00\\01\\00\\00\\00")
  (func (export "_start") (local i32)
    (loop
      (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)) (then (call $exit (i32.const 9))))
      (local.set 0 (i32.add (local.get 0) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get 0) (i32.const {number}))))))"""
EXIT = '(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 3))))'

BEGINNING = """
import os, signal, sys, threading
import wasmoci
from wasmoci.dispatch import registry
from wasmoci.limits import Limits
from wasmoci.stdio import Stdio, Stream
made = wasmoci.Bundle.load(sys.argv[1])
handler = registry.default().load(sys.argv[2])
def run(take=lambda _: None, limits=Limits()):
    try:
        result = handler.execute(made.spec, made.rootfs, stdio=Stdio(stdin=b"", stdout=take, stderr=Stream.NULL), limits=limits)
    except BaseException as error:
        return type(error).__name__
    return "%s %d" % (result.reason.value, result.exit_code)
"""


@pytest.fixture
def program(tmp_path: Path, engine: str) -> Callable[..., tuple[int, str]]:
    """Runs a program of its own, with a guest at hand, and gives its status and what it has said."""

    def call(code: str, guest: str) -> tuple[int, str]:
        made = bundle(tmp_path / "bundle", guest)
        command = [sys.executable, "-c", BEGINNING + code, str(made.path), engine]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout

    return call


def test_signal(program: Callable[..., tuple[int, str]]) -> None:
    """A signal's handler that raises while the guest calls its host ends the guest, before the first line of a call-back as well."""
    code = """
class Alarm(BaseException): pass
def ring(*_): raise Alarm
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.3)
print(run(), flush=True)
os._exit(0)  # an abandoned guest may still be about to end
"""
    status, said = program(code, WRITER.format(number=1 << 31))
    assert status == 0
    assert said in ("Alarm\n", "EngineError\n")


@pytest.mark.timeout(400)  # a process for each depth
def test_recursion(program: Callable[..., tuple[int, str]], engine: str) -> None:
    """However little recursion is left, the guest has its own status, or an error says that it hasn't."""
    # Where each run starts a process, all depths are tried on one Python, and some on the others.
    step = 7 if SMOKE and engine == "wasmer" else 1
    code = f"""
def deeper(left):
    return run() if left == 0 else deeper(left - 1)
found = set()
for left in range(0, sys.getrecursionlimit(), {step}):
    try:
        found.add(deeper(left if left < 10 else 800 + left))
    except RecursionError:
        break
print(sorted(found), flush=True)
"""
    status, said = program(code, EXIT)
    assert status == 0
    # ctypes has an error of its own for an argument that it couldn't convert.
    allowed = {"exited 3", "RecursionError", "ArgumentError", "EngineError", "EngineUnavailable", "EngineCrashed"}
    assert set(ast.literal_eval(said)) <= allowed, said
    assert "exited 3" in said


def test_recursion_lowered(program: Callable[..., tuple[int, str]]) -> None:
    """Nor does it end well when the limit is lowered while it runs, so that no call-back can be entered any more."""
    code = """
import time
def lower(_):
    sys.setrecursionlimit(depth() + 12)
def depth():
    frame, count = sys._getframe(), 0
    while frame:
        frame, count = frame.f_back, count + 1
    return count
said = run(lower)
sys.setrecursionlimit(1000)
print(said, flush=True)
"""
    status, said = program(code, WRITER.format(number=5))
    assert (status, said) in {(0, f"{word}\n") for word in ("exited 0", "RecursionError", "EngineError")}


@pytest.mark.parametrize("limits", ["Limits()", "Limits(time=100.0)"])
def test_fork(program: Callable[..., tuple[int, str]], limits: str) -> None:
    """A process that is forked within a call, and goes on, doesn't run the guest a second time to a good end."""
    code = f"""
children = []
def fork(_):
    if not children:
        children.append(os.fork())
first = os.getpid()
said = run(fork, {limits} if handler.name == "wasmtime" else Limits())
if os.getpid() != first:
    os._exit(0 if said == "exited 0" else 77)
_, status = os.waitpid(children[0], 0)
print(said, os.waitstatus_to_exitcode(status), flush=True)
"""
    status, said = program(code, WRITER.format(number=3))
    assert status == 0
    assert said in ("exited 0 77\n", "exited 0 125\n")


@pytest.fixture
def wasmtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs guests on wasmtime; what Python can't tell anybody is kept from the standard error."""
    usable("wasmtime")
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    numbers = iter(range(100))
    handler: BaseHandler = registry.default().load("wasmtime")  # type: ignore[assignment]

    def run(guest: str, stdout: Any = Stream.NULL, **limits: Any) -> Any:
        made = bundle(tmp_path / str(next(numbers)), guest)
        stdio = Stdio(stdin=b"", stdout=stdout, stderr=Stream.NULL)
        return handler.execute(made.spec, made.rootfs, stdio=stdio, limits=Limits(**limits))

    return run


GROWER = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (call $exit (i32.const 0))))"""


@pytest.mark.parametrize("what", ["instantiated", "_memories"])
def test_memory(wasmtime: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Memory whose account isn't found isn't given, and a memory that can't be grown by a fault isn't grown."""
    from wasmoci.handlers._wasmtime import linear_memory  # noqa: PLC0415  needs the engine

    class Nowhere(dict[Any, Any]):
        def __getitem__(self, key: object) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr(linear_memory, what, Nowhere())
    if what == "instantiated":
        with pytest.raises(EngineError, match="a call of its host failed"):
            wasmtime(GROWER, memory=1 << 24)
        return
    grown = wasmtime(GROWER, memory=1 << 24)
    assert grown.exit_code == 0  # it was refused every page, as it may be at any time
    monkeypatch.undo()


def test_a_fault_in_growth(wasmtime: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the host's while a memory grows comes out of the run."""
    from wasmoci.handlers._wasmtime import linear_memory  # noqa: PLC0415  needs the engine

    def fail(*_: object) -> bool:
        raise KeyError("injected")

    monkeypatch.setattr(linear_memory._LinearMemory, "request", fail)
    with pytest.raises(KeyError, match="injected"):
        wasmtime(GROWER, memory=1 << 24)


def test_time(wasmtime: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest whose time is over ends also when it can't be found out whose it is."""
    from wasmoci.handlers._wasmtime import interruption  # noqa: PLC0415  needs the engine

    monkeypatch.setattr(interruption, "runs", {})
    result = wasmtime('(module (func (export "_start") (loop (br 0))))', time=0.1)
    assert result.reason is ExitReason.TIMED_OUT


def test_nothing_after_an_error(wasmtime: Callable[..., Any]) -> None:
    """A guest whose output can't be taken any more does nothing else."""
    taken = []

    def take(data: bytes) -> None:
        taken.append(data)
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        wasmtime(WRITER.format(number=3), take)
    assert taken == [b"x"]


def test_another_thread_within_a_run(wasmtime: Callable[..., Any]) -> None:
    """A run within a call of another run's, on the same thread or on another one, has nothing to do with it."""
    results = []

    def take(_: bytes) -> None:
        results.append(wasmtime(EXIT))
        thread = threading.Thread(target=lambda: results.append(wasmtime(EXIT)))
        thread.start()
        thread.join()

    assert wasmtime(WRITER.format(number=2), take).exit_code == 0
    assert [(result.reason, result.exit_code) for result in results] == [(ExitReason.EXITED, 3)] * 4


@pytest.mark.parametrize("marked", Marked)
@pytest.mark.parametrize("fails", [False, True])
def test_entries(marked: Marked, fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """An entry gives NULL or the result after an answer, and the failure after anything else, with all arguments passed on."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    place = (ctypes.c_uint64 * 4)()
    place[1] = (1 << 64) - 1  # a mark that was there before counts for nothing
    given = [11, 12, 13, 14, 15, 16, 17]
    given[(0, 2, 6)[marked.value]] = ctypes.addressof(place)
    seen = []

    @ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * 7)
    def function(*arguments: int) -> None:
        seen.append(arguments)
        assert place[1] >> 32 == 0
        if fails:
            raise KeyboardInterrupt
        place[1] = 0x77 << 32
        place[2] = 0xFFFF_FFFF_FFFF_FFF0

    made = addresses([Entry(function, marked, 12, 0x77, 0, 4242, result=result) for result in (None, 16)])
    kind = ctypes.CFUNCTYPE(ctypes.c_size_t, *[ctypes.c_size_t] * 7)
    found = [kind(address)(*given) for address in made]
    assert found == ([4242, 4242] if fails else [0, 0xFFFF_FFFF_FFFF_FFF0])
    passed = (
        7 if marked is Marked.SEVENTH or os.uname().machine != "x86_64" else 6
    )  # the seventh is the memory with the mark
    assert [arguments[:passed] for arguments in seen] == [tuple(given[:passed])] * 2


def test_reader() -> None:
    """Where a memory is, an engine reads without Python."""
    three, first, second = (ctypes.c_uint64 * 3)(7, 8, 9), ctypes.c_uint64(), ctypes.c_uint64()
    read = ctypes.CFUNCTYPE(ctypes.c_size_t, *[ctypes.c_void_p] * 3)(reader())
    assert read(ctypes.addressof(three), ctypes.addressof(first), ctypes.addressof(second)) == 7
    assert (first.value, second.value) == (8, 9)
