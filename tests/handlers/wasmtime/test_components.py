"""Components on wasmtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wasmoci.errors import EntrypointError, UnsupportedModule, UnsupportedWorkload
from wasmoci.limits import Limits
from wasmoci.oci.guest_files import GuestFiles, GuestMount
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from tests.handlers.wasmtime.conftest import Run
    from wasmoci.handlers.wasmtime import WasmtimeHandler

TEXT = """(component
  (import "wasi:cli/exit@0.2.{version}" (instance $exit
    (export "exit" (func (param "status" (result))))
    (export "exit-with-code" (func (param "status-code" u8)))))
  {imports}
  (core func $exit (canon lower (func $exit "exit")))
  (core func $exit-with-code (canon lower (func $exit "exit-with-code")))
  (core module $m
    (import "" "exit" (func $exit (param i32)))
    (import "" "exit-with-code" (func $exit-with-code (param i32)))
    (memory {pages})
    (func $run (export "run") (result i32) {body}))
  (core instance $i (instantiate $m (with "" (instance
    (export "exit" (func $exit)) (export "exit-with-code" (func $exit-with-code))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.{version}" (instance $cli))
  (export "plain" (func $run)))"""
HTTP = '(import "wasi:http/outgoing-handler@0.2.0" (instance $http (export "handle" (func))))'


def component(body: str = "i32.const 0", *, imports: str = "", version: int = 3, pages: int = 1) -> str:
    """A component whose function ``run`` has this body: its result is 0 for ok, 1 for an error."""
    return TEXT.format(body=body, imports=imports, version=version, pages=pages)


@pytest.mark.parametrize(
    ("body", "exit_code"),
    [
        ("i32.const 0", 0),
        ("i32.const 1", 1),
        ("(call $exit (i32.const 0)) unreachable", 0),
        ("(call $exit (i32.const 1)) unreachable", 1),
        ("(call $exit-with-code (i32.const 7)) unreachable", 7),
        ("(call $exit-with-code (i32.const 255)) unreachable", 255),
    ],
)
def test_exit(run: Run, body: str, exit_code: int) -> None:
    """A component ends by its result or by an interface; an error is 1."""
    result = run(component(body))
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, exit_code)


@pytest.mark.parametrize("version", [0, 2, 3])
def test_versions(run: Run, version: int) -> None:
    """Every version of WASI 0.2 is the same one."""
    text = component(version=version)
    if version == 0:  # which had no exit-with-code
        text = text.replace('(export "exit-with-code" (func (param "status-code" u8)))', "")
        text = text.replace('(core func $exit-with-code (canon lower (func $exit "exit-with-code")))', "")
        text = text.replace('(import "" "exit-with-code" (func $exit-with-code (param i32)))', "")
        text = text.replace('(export "exit-with-code" (func $exit-with-code))', "")
    assert run(text).exit_code == 0


def test_trap(run: Run) -> None:
    """A trap has its message and frames."""
    result = run(component("unreachable"))
    assert (result.reason, result.message) == (ExitReason.TRAPPED, "wasm `unreachable` instruction executed")
    assert [frame.split(" (")[0] for frame in result.backtrace] == ["m!run"]


@pytest.mark.parametrize("entry", ["plain", "wasi:cli/run@0.2.3#run", "wasi:cli/run@0.2.0#run"])
def test_function(run: Run, entry: str) -> None:
    """A function is named plainly, or with its interface."""
    assert run(component("(call $exit-with-code (i32.const 9)) unreachable"), entry=f"/app.wasm#{entry}").exit_code == 9


@pytest.mark.parametrize("entry", ["missing", "wasi:cli/run@0.2.3", "wasi:cli/run@0.2.3#walk", "no:such/thing@1.0.0#f"])
def test_missing_function(run: Run, entry: str) -> None:
    """A function that isn't there is an error that lists what is."""
    with pytest.raises(EntrypointError, match=r"plain"):
        run(component(), entry=f"/app.wasm#{entry}")


def test_no_run(run: Run) -> None:
    """A component that is no command says what one is."""
    with pytest.raises(EntrypointError, match="wasi:cli/command"):
        run("(component)")


@pytest.mark.parametrize(
    "imports",
    [
        '(import "my:own/thing@0.2.0" (instance (export "f" (func))))',
        '(import "plain" (func))',
        '(import "wasi:clocks/sundial@0.2.0" (instance (export "f" (func))))',
        '(import "wasi:cli/exit@0.3.0" (instance (export "f" (func))))',
        '(import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "no-such-function" (func))))',
    ],
)
def test_unknown_import(run: Run, imports: str) -> None:
    """An import that nobody provides is named."""
    name = imports.split('"')[1]
    with pytest.raises(UnsupportedModule, match=name):
        run(component(imports=imports))


def test_network_unused(run: Run) -> None:
    """A component that could use HTTP runs without."""
    assert run(component(imports=HTTP)).exit_code == 0


def test_network_used(run: Run) -> None:
    """There is no network: a call of it traps, and the message names it."""
    text = component("(call $handle) i32.const 0", imports=HTTP)
    text = text.replace("(core module", '(core func $handle (canon lower (func $http "handle"))) (core module')
    text = text.replace('(import "" "exit" ', '(import "" "handle" (func $handle)) (import "" "exit" ')
    text = text.replace(
        '(export "exit" (func $exit)) (', '(export "handle" (func $handle)) (export "exit" (func $exit)) ('
    )
    result = run(text)
    assert result.reason is ExitReason.TRAPPED
    assert "wasi:http/outgoing-handler@0.2.0" in result.message


@pytest.mark.parametrize(
    ("limits", "body", "reason"),
    [
        (Limits(time=0.05), "(loop (br 0)) unreachable", ExitReason.TIMED_OUT),
        (Limits(fuel=1000), "(loop (br 0)) unreachable", ExitReason.TIMED_OUT),
        (
            Limits(memory=1 << 20),
            "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) i32.const 0",
            ExitReason.OUT_OF_MEMORY,
        ),
        (
            Limits(memory=1 << 20),
            "(loop (drop (memory.grow (i32.const 1))) (br 0)) unreachable",
            ExitReason.OUT_OF_MEMORY,
        ),
        (Limits(memory=1 << 10), "i32.const 0", ExitReason.OUT_OF_MEMORY),
        (Limits(memory=1 << 20, time=60, fuel=10**6), "i32.const 0", ExitReason.EXITED),
    ],
)
def test_limits(run: Run, limits: Limits, body: str, reason: ExitReason) -> None:
    """All limits hold."""
    assert run(component(body), limits=limits).reason is reason


def test_file_mount(run: Run, tmp_path: Path) -> None:
    """A single file can't be mounted, which is told before anything runs."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UnsupportedWorkload, match="/etc/file"):
        run(component("unreachable"), mounts=[(file, "/etc/file")])


def test_not_interrupted(handler: WasmtimeHandler) -> None:
    """A component may wait in the host, where it can't be stopped."""
    assert not handler.interrupts(Module.from_bytes(component().encode()), Stdio.capture())


def test_working_directory(run: Run) -> None:
    """A component runs in a working directory."""
    assert run(component(), cwd="/work/here").exit_code == 0


@pytest.mark.parametrize(
    ("cwd", "by_name", "names"),
    [
        ("/", True, ["/", "/data"]),
        ("/work", False, [".", "/", "/data", "."]),
        ("/work", True, [".", "/", "/data", "/etc", "/link", "/work", "."]),
    ],
)
def test_preopens(
    handler: WasmtimeHandler,
    tmp_path: Path,
    cwd: str,
    by_name: object,
    names: list[str],
) -> None:
    """With a working directory the directories in the root are given by name, but for those that it has, too."""
    from wasmoci.handlers.preopens import preopens  # noqa: PLC0415  comes with the engine

    for directory in ("etc", "work/usr", "usr", "data"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "outside").symlink_to("../../..")
    mount = GuestMount(destination="/data", source=tmp_path, read_only=True)
    with preopens(
        GuestFiles(rootfs=tmp_path, read_only=False, cwd=cwd, mounts=(mount,)), by_name=bool(by_name)
    ) as found:
        assert [preopen.guest for preopen in found if preopen.guest != "/outside"] == names
        places = {preopen.guest: Path(os.fsdecode(preopen.host)).stat().st_ino for preopen in found}
        assert [preopen.guest for preopen in found if preopen.read_only] == ["/data"]
    root = tmp_path.stat().st_ino
    assert places["/"] == root
    assert places.get("/outside", root) == root
    assert places.get(".", root) == (tmp_path / cwd.lstrip("/")).stat().st_ino
