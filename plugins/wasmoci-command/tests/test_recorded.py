"""The command lines of iwasm and wasmedge, and what their exit status and words mean: by programs that record and play a part."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from wasmoci_command.iwasm import IwasmProgram
from wasmoci_command.wasmedge import WasmedgeProgram

from wasmoci import EngineCrashed, EngineUnavailable, ExitReason, Limits, Stdio, UnsupportedModule, UnsupportedWorkload
from wasmoci.testing import bundle

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci_command import CommandHandler

    from wasmoci import ExecutionResult

VERSIONS = {"iwasm": "iwasm 2.4.1", "wasmedge": "wasmedge version 0.14.1"}
PROGRAM = """#!{python} -I
import json, os, signal, sys
from pathlib import Path
if sys.argv[1:] == ["--version"]:
    print({version!r})
    raise SystemExit(0)
here = {directory!r}
record = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ), "files": sorted(os.listdir("."))}}
Path(here, "record.json").write_text(json.dumps(record))
exec(Path(here, "part.py").read_text())
"""
MODULE = """(module (memory (export "memory") 1) (func (export "_start")) (func (export "other"))
  (func (export "answer") (result i32) (i32.const 42)))"""

Play = "Callable[..., tuple[ExecutionResult, dict[str, Any]]]"


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Runs a handler whose program does what it is told: gives the result, and what the program was called with."""

    def run(handler: type[CommandHandler], part: str = "", **options: Any) -> tuple[ExecutionResult, dict[str, Any]]:
        limits = options.pop("limits", Limits())
        program = install(tmp_path, handler.program.name, VERSIONS[handler.program.name], part)
        monkeypatch.setenv("PATH", str(program.parent))
        monkeypatch.setenv("SECRET", "of the host")
        made = bundle(tmp_path / "bundle", options.pop("module", MODULE), **options)
        result = handler().execute(made.spec, made.rootfs, stdio=Stdio.capture(b"in"), limits=limits)
        return result, json.loads((tmp_path / "bin" / "record.json").read_text())

    return run


def install(directory: Path, name: str, version: str, part: str = "") -> Path:
    """Write a program that says the version, and plays the part."""
    program = directory / "bin" / name
    program.parent.mkdir(exist_ok=True)
    text = PROGRAM.format(python=sys.executable, version=version, directory=str(program.parent))
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    (program.parent / "part.py").write_text(part, encoding="utf-8")
    return program


def test_command_line_of_iwasm(play: Play, tmp_path: Path) -> None:
    """Directories by --map-dir, variables by --env, the module by its name alone, the arguments behind it."""
    data = tmp_path / "data"
    data.mkdir()
    result, call = play(IwasmProgram, args=["--x", "a b"], env=["A=b=c"], mounts=[(data, "/data")])
    assert result.ok
    assert call["argv"] == [
        f"--map-dir=/::{tmp_path}/bundle/rootfs",
        f"--map-dir=/data::{data}",
        "--env=A=b=c",
        "app.wasm",
        "--x",
        "a b",
    ]
    assert call["files"] == ["app.wasm"]
    assert "SECRET" not in call["env"]


def test_command_line_of_wasmedge(play: Play, tmp_path: Path) -> None:
    """Directories by --dir GUEST:HOST, variables by --env, the memory limit in pages."""
    result, call = play(WasmedgeProgram, args=["--x"], env=["A=b=c", "E="], limits=Limits(memory=1 << 20))
    assert result.ok
    expected = ["run", "--dir", f"/:{tmp_path}/bundle/rootfs", "--env", "A=b=c", "--env", "E="]
    assert call["argv"] == [*expected, "--memory-page-limit", "16", "app.wasm", "--x"]


@pytest.mark.parametrize(
    ("handler", "options"),
    [(IwasmProgram, ["--function", "other", "app.wasm"]), (WasmedgeProgram, ["--reactor", "app.wasm", "other"])],
)
def test_named_function(play: Play, handler: type[CommandHandler], options: list[str]) -> None:
    """Another function than _start is called by its name."""
    _, call = play(handler, entry="/app.wasm#other")
    assert call["argv"][-len(options) :] == options


def test_working_directory_is_preopened(play: Play, tmp_path: Path) -> None:
    """The working directory is ``.``, reached by a path that is valid in the program."""
    part = "print(os.listdir(sys.argv[-2].partition('::')[2]))"
    result, call = play(IwasmProgram, part, cwd="/work", files={"/work/name": "x"})
    assert call["argv"][-2].startswith("--map-dir=.::/proc/")
    assert result.stdout == b"['name']\n"


ENDINGS = {
    "returned": ("", ExitReason.EXITED, 0, ""),
    "exited": ("sys.exit(7)", ExitReason.EXITED, 7, ""),
    "exited with 1": ("sys.exit(1)", ExitReason.EXITED, 1, ""),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", ExitReason.SIGNALED, 137, "stopped by SIGKILL"),
}
TRAPS = {
    IwasmProgram: ("print('Exception: unreachable'); sys.exit(1)", "unreachable"),
    WasmedgeProgram: (
        "print('[2026-01-01] [error] execution failed: out of bounds memory access, Code: 0x88'); sys.exit(1)",
        "out of bounds memory access",
    ),
}


@pytest.mark.parametrize("handler", [IwasmProgram, WasmedgeProgram])
@pytest.mark.parametrize("name", ENDINGS)
def test_ending(play: Play, handler: type[CommandHandler], name: str) -> None:
    """What a status or a signal means."""
    part, reason, code, message = ENDINGS[name]
    result, _ = play(handler, part)
    assert (result.reason, result.exit_code) == (reason, code)
    assert message in result.message


@pytest.mark.parametrize("handler", [IwasmProgram, WasmedgeProgram])
def test_trap(play: Play, handler: type[CommandHandler]) -> None:
    """What a program says of a trap is the result's message."""
    part, message = TRAPS[handler]
    result, _ = play(handler, part)
    assert (result.reason, result.exit_code, result.message) == (ExitReason.TRAPPED, 134, message)


def test_crash(play: Play) -> None:
    """A fault of the program is no end of the guest's."""
    with pytest.raises(EngineCrashed, match="SIGSEGV"):
        play(IwasmProgram, "os.kill(os.getpid(), signal.SIGSEGV)")


def test_time_limit(play: Play) -> None:
    """A program that goes on is killed."""
    result, _ = play(IwasmProgram, "print('so far', flush=True); import time; time.sleep(600)", limits=Limits(time=1.5))
    assert (result.reason, result.stdout) == (ExitReason.TIMED_OUT, b"so far\n")


REFUSED = {
    "read-only root": (IwasmProgram, {"readonly": True}, "read-only"),
    "arguments of a function": (WasmedgeProgram, {"entry": "/app.wasm#other", "args": ["x"]}, "arguments"),
    "results of a function": (WasmedgeProgram, {"entry": "/app.wasm#answer"}, "returns"),
    "too many variables": (IwasmProgram, {"env": [f"V{number}=x" for number in range(9)]}, "8 variables"),
    "a variable without a value": (IwasmProgram, {"env": ["EMPTY="]}, "without a name or a value"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_program_has_no_words_for_is_refused(play: Play, name: str) -> None:
    """It is not left out in silence."""
    handler, options, message = REFUSED[name]
    with pytest.raises(UnsupportedWorkload, match=message):
        play(handler, **options)


@pytest.mark.parametrize(("version", "said"), [("iwasm (Zig) - WebAssembly", "Zig"), ("iwasm 1.3.2", "1.3.2")])
def test_another_program_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, said: str) -> None:
    """One that is another, or too old, makes the engine unavailable, and what it said is in the reason."""
    monkeypatch.setenv("PATH", str(install(tmp_path, "iwasm", version).parent))
    with pytest.raises(EngineUnavailable, match=said) as raised:
        IwasmProgram()
    assert "install it from" in (raised.value.hint or "")


def test_native_code_in_a_module_is_refused(play: Play) -> None:
    """Wasmedge would run what a module brings along compiled."""
    module = b"\0asm\1\0\0\0" + b"\0\x0d\x08wasmedgecode"
    with pytest.raises(UnsupportedModule, match="native code"):
        play(WasmedgeProgram, module=module)
