"""What is particular to wasmer, with either back end."""

from __future__ import annotations

import fcntl
import importlib
import importlib.metadata
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable
from tests.support.guests import assembled
from wasmoci.errors import EngineCrashed
from wasmoci.limits import Limits
from wasmoci.oci.bundle import Bundle
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream
from wasmoci.testing.leak_check import children
from wasmoci.wasi import Errno

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers.wasmer import WasmerHandler

only_embedded = pytest.mark.skipif(sys.version_info >= (3, 11), reason="wasmer 1.1 is for Python 3.10")
only_sandboxed = pytest.mark.skipif(sys.version_info < (3, 11), reason="wasmer-sdk is for Python 3.11 and later")


@pytest.fixture(scope="module")
def handler() -> WasmerHandler:
    """The handler."""
    usable("wasmer")
    from wasmoci.handlers.wasmer import WasmerHandler  # noqa: PLC0415  an engine, which may be missing

    return WasmerHandler()


@only_embedded
@pytest.mark.parametrize("name", ["hello", "trap", "exit"])
def test_memory_stays_flat(
    handler: WasmerHandler, guest: Callable[..., Path], make_bundle: Callable[..., Path], name: str
) -> None:
    """Many runs take no more memory than a few, however the guest ends."""
    bundle = Bundle.load(make_bundle(guest(name)))
    sizes = []
    for _ in range(2):
        for _ in range(40):
            handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    # A circle through the engine that is not broken keeps 300 KiB of each run.
    assert sizes[1] - sizes[0] < 6 << 20


@pytest.mark.parametrize("name", ["trap", "hello"])
def test_a_process_that_used_it_ends_well(
    guest: Callable[..., Path], make_bundle: Callable[..., Path], name: str
) -> None:
    """Nothing is written to the process's own streams, and its end is not disturbed."""
    usable("wasmer")
    bundle = make_bundle(guest(name))
    code = (
        "import sys; from wasmoci.oci.bundle import Bundle; from wasmoci.stdio import Stdio;"
        "from wasmoci.handlers.wasmer import WasmerHandler; b = Bundle.load(sys.argv[1]);"
        "print(WasmerHandler().execute(b.spec, b.rootfs, stdio=Stdio.capture()).engine)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr, done.returncode) == ("wasmer\n", "", 0)


def test_a_guest_that_overflows_its_stack_in_the_host_traps(
    handler: WasmerHandler, make_bundle: Callable[..., Path]
) -> None:
    """Calls of the host at every depth do no harm at the end of the stack."""
    text = """(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (memory (export "memory") 1)
        (func $f (param i64 i64 i64 i64) (drop (call $yield))
          (call $f (local.get 1) (local.get 2) (local.get 3) (local.get 0)) (drop (call $yield)))
        (func $deep (param i32) (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
          (else (call $f (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)))) nop)
        (func $down (call $down) nop)
        (func (export "_start") (drop (call $yield)) (call $down)))"""
    bundle = Bundle.load(make_bundle(assembled(text)))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.null())

    assert (result.reason, result.message) == (ExitReason.TRAPPED, "call stack exhausted")


@only_sandboxed
@pytest.mark.parametrize(
    ("program", "message", "signal", "stderr"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "by signal 11", 11, ""),
        ("raise SystemExit('nothing works')", "ended with 1", None, "nothing works\n"),
    ],
    ids=["killed", "failed"],
)
def test_an_sdk_that_ends_costs_an_error(
    handler: WasmerHandler,
    guest: Callable[..., Path],
    make_bundle: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    message: str,
    signal: int | None,
    stderr: str,
) -> None:
    """The process of the SDK is not ours: how it ended is in the error, with what it wrote to its standard error."""
    usable("wasmer")
    from wasmoci.handlers._wasmer import sdk_process  # noqa: PLC0415  as the handler

    monkeypatch.setattr(sdk_process, "_BOOT", program)
    bundle = Bundle.load(make_bundle(guest("hello")))
    with pytest.raises(EngineCrashed, match=message) as caught:
        handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())

    assert (caught.value.signal, caught.value.stderr) == (signal, stderr)


@only_sandboxed
def test_an_sdk_that_is_killed_under_the_guest_costs_an_error(
    handler: WasmerHandler, guest: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    """The end of its process is the end of the run, in the middle of a call as well."""
    before = children()

    def kill(_chunk: bytes) -> None:
        for process in children() - before:
            os.kill(int(process.partition(",")[0]), signal.SIGKILL)

    bundle = Bundle.load(make_bundle(guest("output"), args=["1000000"]))
    with pytest.raises(EngineCrashed, match="by signal 9"):
        handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio(stdin=b"", stdout=kill, stderr=Stream.NULL))


def test_a_trap_at_a_great_depth_is_told(handler: WasmerHandler, make_bundle: Callable[..., Path]) -> None:
    """The engine's report of it is longer than a pipe holds."""
    text = """(module (memory (export "memory") 1) (func $a_function_with_a_name_of_some_length (param i32)
          (if (local.get 0) (then (call $a_function_with_a_name_of_some_length (i32.sub (local.get 0) (i32.const 1))))
            (else (i32.store (i32.const -16) (i32.const 0)))) nop)
        (func (export "_start") (call $a_function_with_a_name_of_some_length (i32.const 8000))))"""
    bundle = Bundle.load(make_bundle(assembled(text)))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.null())

    assert (result.reason, result.message) == (ExitReason.TRAPPED, "out of bounds memory access")
    assert len(result.backtrace) > 1


@pytest.mark.parametrize(("count", "size"), [(1024, 60000), (60000, 100)])
def test_many_buffers_are_written(
    handler: WasmerHandler, make_bundle: Callable[..., Path], count: int, size: int
) -> None:
    """Neither a great number of them nor much in each makes the guest and its host wait for each other."""
    text = f"""(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 16)
        (func (export "_start") (local i32)
          (loop (i32.store (i32.add (i32.const 1000) (i32.mul (local.get 0) (i32.const 8))) (i32.const 600000))
            (i32.store (i32.add (i32.const 1004) (i32.mul (local.get 0) (i32.const 8))) (i32.const {size}))
            (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const {count}))))
          (call $exit (call $write (i32.const 1) (i32.const 1000) (i32.const {count}) (i32.const 200)))))"""
    bundle = Bundle.load(make_bundle(assembled(text)))
    written = 0

    def take(chunk: bytes) -> None:
        nonlocal written
        written += len(chunk)

    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio(stdin=b"", stdout=take, stderr=Stream.NULL))

    most = 1024  # of which the host takes no more
    expected = (0, count * size) if count <= most else (Errno.INVAL, 0)
    assert (result.exit_code, written) == expected


@only_sandboxed
def test_atomic_instructions_run(handler: WasmerHandler, make_bundle: Callable[..., Path]) -> None:
    """Programs that were built for threads, and run without, have them on a memory that isn't shared."""
    text = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
        (func (export "_start") (i32.atomic.store (i32.const 400) (i32.const 5))
          (if (i32.ne (i32.atomic.rmw.add (i32.const 400) (i32.const 3)) (i32.const 5)) (then unreachable))
          (if (i32.ne (i32.atomic.rmw.cmpxchg (i32.const 400) (i32.const 8) (i32.const 9)) (i32.const 8)) (then unreachable))
          atomic.fence (drop (memory.atomic.notify (i32.const 400) (i32.const 1)))
          (call $exit (i32.atomic.load (i32.const 400)))))"""
    bundle = Bundle.load(make_bundle(assembled(text)))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.null(), limits=Limits(memory=1 << 20))

    assert (result.reason, result.exit_code) == (ExitReason.EXITED, 9)


@only_sandboxed
def test_the_cache_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made so that nobody else can put code into it."""
    from wasmoci.handlers._wasmer.sdk_cache import cache_root  # noqa: PLC0415

    monkeypatch.delenv("WASMOCI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with cache_root() as path:
        assert path == tmp_path / "wasmoci" / "wasmer"
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@only_sandboxed
def test_the_sdk_compiles_a_module_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guest: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    """Whoever starts a new module has it for itself until the SDK has compiled it; of one that it knows nobody waits."""
    usable("wasmer")
    from wasmoci.handlers._wasmer.sdk_cache import cache_root, compiling  # noqa: PLC0415
    from wasmoci.handlers.wasmer import WasmerHandler  # noqa: PLC0415  without what it has in memory

    monkeypatch.setenv("WASMOCI_CACHE", str(tmp_path / "cache"))
    bundle = Bundle.load(make_bundle(guest("hello")))
    assert WasmerHandler().execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture()).ok
    with cache_root() as root:
        with compiling(root, b"new"):
            (file,) = root.glob("*.lock")
            with file.open("rb") as held, pytest.raises(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert list(root.glob("*.lock")) == []
        (kept,) = (tmp_path / "cache" / "modules").glob("*.code")
        with compiling(root, kept.read_bytes()):
            assert list(root.glob("*.lock")) == []


@pytest.mark.parametrize("spoil", ["open", "link", "file"])
def test_a_cache_that_others_can_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    """A directory with other permissions, a link or a file in its place: a temporary one is used, and removed."""
    from wasmoci.handlers._wasmer.sdk_cache import cache_root  # noqa: PLC0415

    place = tmp_path / "wasmoci" / "wasmer"
    place.parent.mkdir()
    if spoil == "open":
        place.mkdir()
        place.chmod(0o777)
    elif spoil == "link":
        place.symlink_to(tmp_path)
    else:
        place.write_text("")
    monkeypatch.delenv("WASMOCI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with cache_root() as path:
        assert path != place
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert not path.exists()


@only_sandboxed
def test_output_is_written_ahead_in_order(handler: WasmerHandler, make_bundle: Callable[..., Path]) -> None:
    """Writes that the guest doesn't wait for come before what it asks for afterwards, and before its end."""
    text = """(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 200) "\\00\\02\\00\\00\\01\\00\\00\\00") (data (i32.const 512) "0123456789")
        (func $put (param i32) (i32.store (i32.const 200) (local.get 0))
          (if (call $write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 208)) (then unreachable))
          (if (i32.ne (i32.load (i32.const 208)) (i32.const 1)) (then unreachable)))
        (func (export "_start") (local i32) (local.set 0 (i32.const 512))
          (loop (call $put (local.get 0)) (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 522))))
          (i32.store (i32.const 200) (i32.const 600))
          (drop (call $read (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 208)))
          (call $put (i32.const 600)) unreachable))"""
    bundle = Bundle.load(make_bundle(assembled(text)))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture(b"!"))

    assert (result.stdout, result.reason) == (b"0123456789!", ExitReason.TRAPPED)


@only_sandboxed
def test_a_refusal_is_known_without_another_call(handler: WasmerHandler, make_bundle: Callable[..., Path]) -> None:
    """A guest that traps as soon as it is refused memory is out of memory, though it calls nothing in between."""
    text = """(module (memory (export "memory") 1) (func (export "_start")
        (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable))"""
    bundle = Bundle.load(make_bundle(assembled(text)))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.null(), limits=Limits(memory=1 << 20))

    assert result.reason is ExitReason.OUT_OF_MEMORY


def test_the_version_is_that_of_the_back_end(handler: WasmerHandler) -> None:
    """Of the two packages the one is named that is used."""
    package = "wasmer" if sys.version_info < (3, 11) else "wasmer-sdk"

    assert handler.engine_version == f"{package} {importlib.metadata.version(package)}"


def test_without_the_engine_the_import_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry shows this reason."""
    for name in [
        name for name in sys.modules if name.startswith(("wasmoci.handlers._wasmer", "wasmoci.handlers.wasmer"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("wasmer", "wasmer_sdk"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'wasmoci\[wasmer\]'"):
        importlib.import_module("wasmoci.handlers.wasmer")
