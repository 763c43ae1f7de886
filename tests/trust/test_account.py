"""A guest's account with its host: descriptors, listings, stack, and what one call may take; on every engine."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.bundles import write_bundle
from tests.trust import components
from tests.wasi.harness import READ, ROOT, Guest
from wasmoci import isolation
from wasmoci.isolation import Isolation
from wasmoci.limits import Limits
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio
from wasmoci.wasi import Errno, Oflags, syscalls
from wasmoci.wasi.descriptors import MAX_DESCRIPTORS, RESERVED
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.heavy

HOLD = """(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\04\\00\\00\\00") (data (i32.const 32) "app.wasm")
  (func $more (result i32)
    (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 8) (i32.const 0) (i64.const 2) (i64.const 0)
      (i32.const 0) (i32.const 24)))
  (func $fill (result i32) (local $errno i32)
    (loop $next
      (if (i32.eqz (local.tee $errno (call $more))) (then
        (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
        (br_if $next (i32.lt_u (i32.load (i32.const 16)) (i32.const 100000))))))
    (local.get $errno))
  (func $tell (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 24))))
  (func $must (param i32) (if (local.get 0) (then (call $exit (i32.const 200)))))
  (func (export "_start") (local $errno i32)
    (local.set $errno (call $fill))
    (call $tell)
    {then}
    (call $exit (local.get $errno))))"""
# Whatever is closed, in whatever way, can be opened again, and no more than that.
AGAIN = """(call $must (call $close (i32.const 9))) (call $must (call $more))
    (call $must (call $renumber (i32.const 10) (i32.const 11))) (call $must (call $more))
    (call $must (i32.ne (call $more) (i32.const 33)))"""


@pytest.mark.parametrize("inside", [None, "inline", "process"])
def test_descriptors_on_every_engine(make_bundle: Callable[..., Path], engine: str, inside: str | None) -> None:
    """A guest that closes nothing is told ``mfile`` at the bound."""
    result = wasmoci.run(make_bundle(HOLD.format(then="")), engine=engine, isolation=inside)
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, Errno.MFILE), result.message
    count = int.from_bytes(result.stdout or b"", "little")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert count == MAX_DESCRIPTORS - 4 if soft > MAX_DESCRIPTORS + 4 * RESERVED else count < soft - RESERVED


def test_descriptors_are_given_back(make_bundle: Callable[..., Path], engine: str) -> None:
    """What is closed, or gives its number away, counts no more."""
    result = wasmoci.run(make_bundle(HOLD.format(then=AGAIN)), engine=engine)
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, Errno.MFILE), result.message


CALLER = """
import os, resource, sys, wasmoci
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
left = []
def take(data):
    opened = []
    try:
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        left.append(len(opened))
    finally:
        for descriptor in opened:
            os.close(descriptor)
stdio = wasmoci.Stdio(stdin=b"", stdout=take, stderr=take)
result = wasmoci.run(sys.argv[1], engine=sys.argv[2], stdio=stdio, isolation="inline")
print(result.exit_code, left[0])
"""


@pytest.mark.parametrize("limit", [128, 512])
def test_caller_has_descriptors_left(make_bundle: Callable[..., Path], engine: str, limit: int) -> None:
    """Where the process itself may have few, the guest doesn't get the last ones of them."""
    made = make_bundle(HOLD.format(then=""))
    done = subprocess.run(
        [sys.executable, "-c", CALLER, str(made), engine, str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    code, left = map(int, done.stdout.split())
    assert code == Errno.MFILE
    assert left >= limit // 4 - 8 if limit < 4 * RESERVED else left >= RESERVED - 8


def test_nothing_is_made_at_the_bound(tmp_path: Path) -> None:
    """A file that can't be opened isn't made, either."""
    with Guest(tmp_path, max_descriptors=5) as guest:
        assert guest.try_open("first", Oflags.CREAT, READ) == "SUCCESS"
        assert guest.try_open("second", Oflags.CREAT, READ) == "MFILE"
    assert not (tmp_path / "second").exists()


def _wide(directory: Path, count: int) -> None:
    directory.mkdir()
    for number in range(count):
        (directory / f"{'x' * 200}{number:08}").touch()


def test_listings_hold_little(tmp_path: Path) -> None:
    """However many directories are listed, and however long they are, the host holds a piece of few of them."""
    _wide(tmp_path / "wide", 3000)
    with Guest(tmp_path) as guest:
        guest.name("fd_readdir", guest.directory("wide"), 64, 100, 0, 0)
        tracemalloc.start()
        try:
            for _ in range(200):
                assert guest.name("fd_readdir", guest.directory("wide"), 64, 4000, 0, 0) == "SUCCESS"
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 4 << 20


@pytest.mark.parametrize("use_openat2", [True, False])
def test_long_paths_hold_few_descriptors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    use_openat2: bool,  # noqa: FBT001
) -> None:
    """A path of hundreds of directories, up and down, is found with few of them open, and none is left."""
    if use_openat2 and not syscalls.openat2_available():
        pytest.skip("this kernel, or its seccomp filter, has no openat2")
    depth = 400  # no more, for what removes it
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    opened: list[int] = []
    original = os.open

    def spy(*args: object, **options: object) -> int:
        opened.append(original(*args, **options))  # type: ignore[arg-type]
        return opened[-1]

    with Guest(tmp_path, use_openat2=use_openat2) as guest:
        before = sorted(Path("/proc/self/fd").iterdir())
        lowest = os.dup(0)
        os.close(lowest)
        monkeypatch.setattr(os, "open", spy)
        path = "/".join(["d"] * depth + [".."] * 300 + ["d"] * 300 + ["file"])
        assert guest.name("path_filestat_get", ROOT, 1, *guest.text(path), 64) == "SUCCESS"
        assert guest.name("path_filestat_get", ROOT, 1, *guest.text(path + "/x", 1), 64) == "NOTDIR"
        monkeypatch.undo()
        assert max(opened) < lowest + 64
        assert sorted(Path("/proc/self/fd").iterdir()) == before


DEEP = """(module
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "app.wasm")
  (func $deep (param i64) (result i64)
    (drop (call $stat (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 128)))
    (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))
  START
  (func (export "_start") (drop (call $deep (i64.const 0)))))"""
ON_A_THREAD = """
import sys, threading, wasmoci
def run():
    print(wasmoci.run(sys.argv[1], engine=sys.argv[2], isolation="inline").reason.name)
threading.stack_size(int(sys.argv[3]))
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("name", ["wasmtime", "wasm3"])
@pytest.mark.parametrize("start", ["", "(func $first (drop (call $deep (i64.const 0)))) (start $first)"])
@pytest.mark.parametrize("stack", [128 << 10, 512 << 10, 4 << 20])
def test_calls_of_the_host_at_the_end_of_the_stack(
    make_bundle: Callable[..., Path], name: str, start: str, stack: int
) -> None:
    """A guest that recurses, and calls the host on each level, traps; whatever stack its caller's thread has."""
    usable(name)
    made = make_bundle(DEEP.replace("START", start))
    done = subprocess.run(
        [sys.executable, "-c", ON_A_THREAD, str(made), name, str(stack)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "TRAPPED\n"), done.stderr


def test_runs_within_runs_have_a_stack_of_their_own(make_bundle: Callable[..., Path]) -> None:
    """A function that takes a guest's output may run a guest, whose output is taken by one that does, and so on."""
    usable("wasmtime")
    hello = make_bundle(
        """(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\01\\00\\00\\00x")
      (func $down (param i32)
        (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))
          (else (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))))
      (func (export "_start") (call $down (i32.const 8000))))"""
    )
    reached = []

    def nested(depth: int) -> None:
        def take(_data: bytes) -> None:
            reached.append(depth)
            if depth:
                nested(depth - 1)

        stdio = Stdio(stdin=b"", stdout=take, stderr=take)
        assert wasmoci.run(hello, engine="wasmtime", stdio=stdio, isolation="inline").exit_code == 0

    nested(30)
    assert reached == list(range(30, -1, -1))


POLL = """(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 100)
  (func (export "_start")
    (call $exit (call $poll (i32.const 64) (i32.const 3000000) (i32.const 50000) (i32.const 0)))))"""


def test_subscriptions_are_bounded(make_bundle: Callable[..., Path], engine: str) -> None:
    """One call waits for four thousand things at most: the host has a record for each."""
    result = wasmoci.run(make_bundle(POLL), engine=engine)
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, Errno.INVAL), result.message


def test_components_run_in_a_process_that_is_bounded(make_bundle: Callable[..., Path]) -> None:
    """Nothing that a component holds is counted by wasmtime, so the kernel does; the caller keeps its descriptors."""
    usable("wasmtime")
    made = make_bundle(components.opening("app.wasm", 100_000))
    assert wasmoci.explain(made, engine="wasmtime").isolation == "process"
    result = wasmoci.run(made, engine="wasmtime")
    assert (result.reason, components.error(result.exit_code)) == (ExitReason.EXITED, "io"), result.message
    result = wasmoci.run(make_bundle(components.opening("app.wasm", 1000)), engine="wasmtime")
    assert result.exit_code == 0, result.message


def test_listings_of_components_count_as_memory(make_bundle: Callable[..., Path]) -> None:
    """With a limit of memory, what wasmtime holds for a component ends it before the host has none left."""
    usable("wasmtime")
    made = make_bundle(components.listing(500))
    for number in range(5000):
        (made / "rootfs" / f"{'x' * 200}{number}").touch()
    result = wasmoci.run(made, engine="wasmtime", memory=16 << 20)
    assert result.reason is ExitReason.OUT_OF_MEMORY, result.message


@pytest.mark.parametrize(
    ("imports", "expected", "with_limit"),
    [
        ('"wasi:cli/environment@0.2.0"', Isolation.INLINE, Isolation.INLINE),
        ('"wasi:clocks/wall-clock@0.2.0"', Isolation.INLINE, Isolation.INLINE),
        ('"wasi:io/poll@0.2.0"', Isolation.INLINE, Isolation.PROCESS),
        ('"wasi:cli/stdout@0.2.0"', Isolation.INLINE, Isolation.PROCESS),
        ('"wasi:filesystem/types@0.2.0"', Isolation.PROCESS, Isolation.PROCESS),
        ('"wasi:sockets/tcp-create-socket@0.2.0"', Isolation.PROCESS, Isolation.PROCESS),
        ('"wasi:http/types@0.2.0"', Isolation.PROCESS, Isolation.PROCESS),
    ],
)
def test_where_components_run(imports: str, expected: Isolation, with_limit: Isolation) -> None:
    """One that can hold nothing that is to be bounded runs in the caller's process; each does where the caller says so."""
    usable("wasmtime")
    from wasmoci.handlers.wasmtime import WasmtimeHandler  # noqa: PLC0415  an engine

    module = Module.from_bytes(f"(component (import {imports} (instance)))".encode(), source="c.wat")
    handler = WasmtimeHandler()
    assert isolation.choose(handler, module, Stdio.null(), Limits()) is expected
    assert isolation.choose(handler, module, Stdio.null(), Limits(memory=1 << 20)) is with_limit
    assert isolation.choose(handler, module, Stdio.null(), Limits(), Isolation.INLINE) is Isolation.INLINE


def test_limited_engine_tells_by_itself_why_a_guest_trapped(tmp_path: Path) -> None:
    """In a process that is bounded as well, a trap with all of the memory in use is a trap still."""
    usable("wasmtime")
    text = """(module (memory (export "memory") 160)
      (func (export "_start") (memory.fill (i32.const 0) (i32.const 1) (i32.const 10485760)) unreachable))"""
    made = write_bundle(tmp_path / "b", text)
    result = wasmoci.run(made, engine="wasmtime", memory=160 << 16, isolation="process")
    assert result.reason is ExitReason.TRAPPED, json.dumps(result.message)
