"""What bounds guests on wasmtime."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.guests import build
from wasmoci.limits import Limits
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream
from wasmoci.wasi import FUNCTIONS
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from pathlib import Path

    from tests.handlers.wasmtime.conftest import Run
    from wasmoci.handlers.wasmtime import WasmtimeHandler
    from wasmoci.wasi import Signature

MIB = 1 << 20
FOREVER = "(loop (br 0))"
GROW = "(loop (br_if 0 (i32.ne (memory.grow {memory} (i32.const 1)) (i32.const -1))))"


@pytest.mark.parametrize("text", [
    f'(module (func (export "_start") {FOREVER}))',
    f'(module (func $s {FOREVER}) (start $s) (func (export "_start")))',
    '(module (func $f (export "_start") (return_call $f)))',
], ids=["loop", "start function", "calls"])  # fmt: skip
def test_time(run: Run, text: str) -> None:
    """A guest is stopped wherever it is, and nothing of the clock is left behind."""
    threads = threading.enumerate()
    result = run(text, limits=Limits(time=0.05))
    assert (result.reason, result.exit_code) == (ExitReason.TIMED_OUT, 124)
    assert result.message == "it ran past its time limit of 0.05 s"
    assert result.duration >= 0.05
    assert threading.enumerate() == threads


@pytest.mark.parametrize("limits", [Limits(time=60.0), Limits(memory=64 * MIB)], ids=["time", "memory"])
def test_interrupt(limits: Limits) -> None:
    """A signal whose handler raises ends a guest that has a limit, also one that only computes, and is raised by the run."""
    run = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, repr(limits)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "KeyboardInterrupt, 1 thread\n", "")


_INTERRUPTED = f"""
import os, signal, sys, threading
from wasmoci.handlers.wasmtime import WasmtimeHandler
from wasmoci.limits import Limits
from wasmoci.stdio import Stdio
from wasmoci.testing import bundle
import tempfile, pathlib

TEXT = '(module (func (export "_start") {FOREVER}))'
with tempfile.TemporaryDirectory() as directory:
    made = bundle(pathlib.Path(directory) / "bundle", TEXT)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        WasmtimeHandler().execute(made.spec, made.rootfs, stdio=Stdio.null(), limits=eval(sys.argv[1]))
    except KeyboardInterrupt:
        timer.join()
        print("KeyboardInterrupt,", threading.active_count(), "thread")
"""


def test_time_of_others(run: Run) -> None:
    """The end of one guest's time doesn't end another that shares the engine."""
    results = {}

    def start(seconds: float) -> None:
        results[seconds] = run("loop", limits=Limits(time=seconds))

    run("hello", limits=Limits(time=60))  # compiled by now
    build("loop")
    threads = [threading.Thread(target=start, args=(seconds,)) for seconds in (0.1, 0.4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.reason is ExitReason.TIMED_OUT for result in results.values())
    assert all(result.duration >= seconds for seconds, result in results.items())


def test_fuel(run: Run) -> None:
    """A guest without fuel is stopped; one that needs less isn't."""
    result = run("loop", limits=Limits(fuel=100_000))
    assert (result.reason, result.exit_code) == (ExitReason.TIMED_OUT, 124)
    assert result.message == "it used up its fuel of 100000 instructions"
    assert run("hello", limits=Limits(fuel=10_000_000)).exit_code == 0


@pytest.mark.parametrize(
    ("how", "reason", "exit_code"),
    [
        ("checked", ExitReason.EXITED, 3),
        ("unchecked", ExitReason.OUT_OF_MEMORY, 137),
        ("3", ExitReason.EXITED, 0),
    ],
)
def test_memory(run: Run, how: str, reason: ExitReason, exit_code: int) -> None:
    """A guest that dies of a refusal is out of memory; one that copes with it ends as it likes."""
    result = run("allocate", how, limits=Limits(memory=8 * MIB))
    assert (result.reason, result.exit_code) == (reason, exit_code)
    assert ("8388608 bytes" in result.message) == (how != "3")


@pytest.mark.parametrize("index", ["", "i64"])
def test_limit_without_bound(run: Run, index: str) -> None:
    """A limit that no machine reaches, as cgroups have it for none, is one."""
    text = f'(module (memory {index} 1) (func (export "_start")))'
    assert run(text, limits=Limits(memory=2**63 - 4096)).exit_code == 0


@pytest.mark.parametrize(
    ("memories", "pages"),
    [("(memory 1) (memory 1)", (15, 1)), ("(memory 1 4) (memory 1)", (4, 12)), ("(memory 0) (memory 16)", (0, 16))],
)
def test_memories_together(run: Run, memories: str, pages: tuple[int, int]) -> None:
    """The limit is for all memories of a guest together."""
    checks = "".join(
        f"(if (i32.ne (memory.size {index}) (i32.const {size})) (then unreachable))" for index, size in enumerate(pages)
    )
    grow = GROW.format(memory=0) + GROW.format(memory=1)
    result = run(f'(module {memories} (func (export "_start") {grow} {checks}))', limits=Limits(memory=MIB))
    assert result.reason is ExitReason.EXITED


def test_memory64(run: Run) -> None:
    """A 64-bit memory grows to the limit, all of it usable, and no further."""
    text = """(module (memory i64 1) (func (export "_start")
      (loop (br_if 0 (i64.ne (memory.grow (i64.const 1)) (i64.const -1))))
      (i64.store (i64.const 1048568) (i64.const 1)) (i64.store (i64.const 1048569) (i64.const 1))))"""
    result = run(text, limits=Limits(memory=MIB))
    assert result.reason is ExitReason.OUT_OF_MEMORY
    assert "0x100000" in result.message or "out of bounds" in result.message


def test_collected_memory(run: Run) -> None:
    """What a guest has collected as garbage counts as well."""
    text = """(module (type $a (array (mut i64)))
      (type $n (struct (field (ref null $n)) (field (ref null $a))))
      (func (export "_start") (local $l (ref null $n))
        (loop (local.set $l (struct.new $n (local.get $l) (array.new $a (i64.const 1) (i32.const 1000)))) (br 0))))"""
    assert run(text, limits=Limits(memory=4 * MIB)).reason is ExitReason.OUT_OF_MEMORY


def test_tables(run: Run) -> None:
    """With a limit of memory tables don't grow without end."""
    text = """(module (table 1 funcref) (func (export "_start")
      (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 10000)) (i32.const -1))))
      (if (i32.gt_u (table.size) (i32.const 65536)) (then unreachable))))"""
    assert run(text, limits=Limits(memory=4 * MIB)).exit_code == 0


def test_initial_table(run: Run) -> None:
    """A table that is too long from the start is refused as memory is."""
    result = run('(module (table 1000000 funcref) (func (export "_start")))', limits=Limits(memory=MIB))
    assert result.reason is ExitReason.OUT_OF_MEMORY


def test_memory_given_back(run: Run) -> None:
    """All of a guest's memory is the system's again when it has ended."""
    from wasmoci.handlers._wasmtime import linear_memory  # noqa: PLC0415  needs the engine

    for how in ("checked", "retry", "3"):
        run("allocate", how, limits=Limits(memory=8 * MIB))
    assert linear_memory._memories == {}


def test_files_with_limits(run: Run) -> None:
    """The memory that host functions take isn't the guest's."""
    text = """(module
      (import "wasi_snapshot_preview1" "path_unlink_file" (func $f (param i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 16) (data (i32.const 0) "file")
      (func (export "_start") (call $exit (call $f (i32.const 3) (i32.const 0) (i32.const 4)))))"""
    limits = Limits(memory=MIB, time=60, fuel=100_000)
    assert run(text, files={"/file": ""}, limits=limits).exit_code == 0


CAPTURED = Stdio.capture()


@pytest.mark.parametrize(
    ("imports", "stdio", "expected"),
    [
        ((), CAPTURED, True),
        (("fd_write", "fd_read", "proc_exit", "path_unlink_file"), CAPTURED, True),
        (("path_open",), CAPTURED, False),
        (("poll_oneoff",), CAPTURED, False),
        (("sock_accept",), CAPTURED, False),
        ((), Stdio.null(), True),
        ((), Stdio(stdin=Stream.NULL, stdout=print, stderr=Stream.NULL), True),
    ],
)
def test_interrupts(
    handler: WasmtimeHandler,
    imports: tuple[str, ...],
    stdio: Stdio,
    expected: bool,  # noqa: FBT001
) -> None:
    """Only a guest that never waits in the host can always be stopped in-process."""
    text = "".join(f'(import "wasi_snapshot_preview1" "{name}" (func {_type(FUNCTIONS[name])}))' for name in imports)
    module = Module.from_bytes(f'(module {text} (func (export "_start")))'.encode())
    assert handler.interrupts(module, stdio) is expected


def _type(signature: Signature) -> str:
    return f"(param {' '.join(signature.params)}) (result {' '.join(signature.results)})"


def test_interrupts_with_descriptors(handler: WasmtimeHandler, tmp_path: Path) -> None:
    """A regular file never makes one wait, a pipe does."""
    module = Module.from_bytes(b'(module (func (export "_start")))')
    path = tmp_path / "file"
    reader, writer = os.pipe()
    try:
        with path.open("wb") as file:
            assert handler.interrupts(module, Stdio(stdin=b"", stdout=file.fileno(), stderr=path))
        assert not handler.interrupts(module, Stdio(stdin=reader, stdout=Stream.NULL, stderr=Stream.NULL))
        assert not handler.interrupts(module, Stdio(stdin=b"", stdout=writer, stderr=Stream.NULL))
    finally:
        os.close(reader)
        os.close(writer)


def test_time_is_over_within_calls(run: Run) -> None:
    """A guest that does nothing but call the host, which takes its output for longer than the limit, is stopped by a call."""
    write = "(drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))"
    text = f"""(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 8) "\\10\\00\\00\\00\\01\\00\\00\\00")
      (func (export "_start") {write * 100}))"""
    taken: list[bytes] = []

    def take(data: bytes) -> None:
        taken.append(data)
        time.sleep(0.02)

    result = run(text, stdio=Stdio(stdin=b"", stdout=take, stderr=Stream.NULL), limits=Limits(time=0.05))
    assert (result.reason, result.exit_code) == (ExitReason.TIMED_OUT, 124), result
    assert 0 < len(taken) < 100
