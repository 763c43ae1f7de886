"""How the C library is called, and what its results mean: by a library that writes down its calls, and plays WasmEdge's part."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from wasmoci_wasmedge import LIBRARY, WasmedgeHandler

from wasmoci import (
    EngineCrashed,
    EngineUnavailable,
    ExitReason,
    Limits,
    Module,
    Stdio,
    UnsupportedModule,
    UnsupportedWorkload,
)
from wasmoci.testing import bundle

MODULE = """(module (memory (export "memory") 2) (func (export "_start")))"""
REACTOR = """(module (func (export "_initialize")) (func (export "run") (result i32) (i32.const 1)))"""

Play = "Callable[..., tuple[ExecutionResult, list[str]]]"


def compile_fake(directory: Path, **defined: object) -> Path:
    """Compile the library; the arguments are macros of ``fake.c``."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("the library of the tests needs a C compiler: apt install gcc")
    library = directory / "libwasmedge.so.0"
    macros = [f"-D{name}={value}" for name, value in {"LOG": f'"{directory}/calls"', **defined}.items()]
    source = Path(__file__).with_name("fake.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-Wall", "-Werror", *macros, str(source), "-o", str(library)], check=True
    )
    return library


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Runs a guest with a library that does what it is told: gives the result, and the calls of the run."""

    def run(module: str = MODULE, *, defined: dict[str, object] | None = None, **options: Any) -> Any:
        limits = options.pop("limits", Limits())
        stdio = options.pop("stdio", Stdio.capture(b"input"))
        monkeypatch.setenv(LIBRARY, str(compile_fake(tmp_path, **(defined or {}))))
        made = bundle(tmp_path / "bundle", module, **options)
        result = WasmedgeHandler().execute(made.spec, made.rootfs, stdio=stdio, limits=limits)
        return result, (tmp_path / "calls").read_text().splitlines()

    return run


def test_calls_of_a_run(play: Play, tmp_path: Path) -> None:
    """Every call in its order, with its arguments."""
    data = tmp_path / "data"
    data.mkdir()
    limits = Limits(memory=1 << 20, fuel=10**12)
    result, calls = play(args=["--x", "ü"], env=["A=b=c", "E="], mounts=[(data, "/data")], limits=limits)
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, 0)
    assert calls == [
        "LogOff",
        "ConfigureCreate",
        "AddHostRegistration conf 0",
        "SetForceInterpreter conf 1",
        "SetMaxMemoryPage conf 16",
        "SetCostMeasuring conf 1",
        "VMCreate conf (nil)",
        "ConfigureDelete conf",
        "GetImportModule vm 0",
        f"InitWASI wasi [/app.wasm, --x, ü] [A=b=c, E=] [/:{tmp_path}/bundle/rootfs, /data:{data}]",
        "GetStatistics vm",
        "SetCostLimit stat 1000000000000",
        "Load vm module",
        "Validate vm",
        "Instantiate vm",
        "Execute vm _start (nil) 0 (nil) 0",
        "GetExitCode wasi",
        "VMDelete vm",
    ]


def test_calls_without_limits(play: Play) -> None:
    """What isn't asked for isn't set."""
    _, calls = play()
    assert not [call for call in calls if "Max" in call or "Cost" in call]


def test_library_is_initialized(play: Play) -> None:
    """``_initialize`` comes before the function that is named."""
    _, calls = play(REACTOR, entry="/app.wasm#run")
    assert [call.split()[2] for call in calls if call.startswith("Execute")] == ["_initialize", "run"]


def test_nothing_is_called_after_an_exit(play: Play) -> None:
    """A guest that exits in ``_initialize`` is over."""
    result, calls = play(REACTOR, entry="/app.wasm#run", defined={"EXECUTE": 1, "EXIT_CODE": 3})
    assert [call.split()[2] for call in calls if call.startswith("Execute")] == ["_initialize"]
    assert result.exit_code == 3


ENDINGS: dict[str, tuple[dict[str, object], tuple[ExitReason, int, str]]] = {
    "exited": ({"EXECUTE": 1, "EXIT_CODE": 7}, (ExitReason.EXITED, 7, "")),
    "a large code": ({"EXECUTE": 1, "EXIT_CODE": 0xFFFFFFFF}, (ExitReason.EXITED, 0xFFFFFFFF, "")),
    "trapped": ({"EXECUTE": 0x89}, (ExitReason.TRAPPED, 134, "unreachable")),
    "trapped at its start": ({"INSTANTIATE": 0x89}, (ExitReason.TRAPPED, 134, "unreachable")),
    "an error of another category": ({"EXECUTE": 0x01000001}, (ExitReason.TRAPPED, 134, "type mismatch")),
    "killed": ({"DURING": "kill(getpid(), SIGKILL)"}, (ExitReason.SIGNALED, 137, "SIGKILL")),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_ending(play: Play, name: str) -> None:
    """What a result of WasmEdge's means."""
    defined, (reason, code, message) = ENDINGS[name]
    result, _ = play(defined=defined)
    assert (result.reason, result.exit_code) == (reason, code)
    assert message in result.message


def test_fuel(play: Play) -> None:
    """The cost limit is the fuel."""
    result, _ = play(defined={"EXECUTE": 3}, limits=Limits(fuel=1000))
    assert (result.reason, result.exit_code) == (ExitReason.TIMED_OUT, 124)
    assert "fuel of 1000" in result.message


def test_time_limit(play: Play) -> None:
    """A guest that goes on is killed with its process."""
    result, _ = play(defined={"DURING": "sleep(600)"}, limits=Limits(time=0.3))
    assert result.reason is ExitReason.TIMED_OUT


def test_streams_are_the_guests(play: Play) -> None:
    """The process's own three streams are those of the run."""
    during = '{char b[9]; long n = read(0, b, 9); (void)!write(1, b, n); (void)!write(2, "error", 5);}'
    result, _ = play(defined={"DURING": during})
    assert (result.stdout, result.stderr) == (b"input", b"error")


def test_module_that_is_refused(play: Play) -> None:
    """What WasmEdge has against a module is told before the guest begins."""
    with pytest.raises(UnsupportedModule, match="type mismatch"):
        play(defined={"VALIDATE": 0x2B})


def test_crash(play: Play) -> None:
    """A fault in the library is no end of the guest's."""
    with pytest.raises(EngineCrashed, match="SIGABRT"):
        play(defined={"DURING": "abort()"})


def test_too_large_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that begins with more memory than its limit doesn't run."""
    monkeypatch.setenv(LIBRARY, str(compile_fake(tmp_path)))
    made = bundle(tmp_path / "bundle", MODULE)
    result = WasmedgeHandler().execute(made.spec, made.rootfs, limits=Limits(memory=65536))
    assert result.reason is ExitReason.OUT_OF_MEMORY
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize(
    "options",
    [{"readonly": True}, {"mounts": [("/usr", "/data", "ro")]}, {"mounts": [("/usr", "/da:ta")]}],
    ids=["root", "mount", "colon"],
)
def test_what_preopens_can_not_be_told_is_refused(play: Play, options: dict[str, Any]) -> None:
    """It is not left out in silence."""
    with pytest.raises(UnsupportedWorkload):
        play(**options)


def test_an_older_library(play: Play) -> None:
    """Its log is turned down in another way; and as it can't be told to interpret, native code in a module is refused."""
    _, calls = play(defined={"OLD": 1})
    assert calls[0] == "LogSetErrorLevel"
    assert not [call for call in calls if "ForceInterpreter" in call]
    module = Module.from_bytes(b"\0asm\1\0\0\0" + b"\0\x0d\x08wasmedgecode")
    with pytest.raises(UnsupportedModule, match="native code"):
        WasmedgeHandler().validate(module)


def test_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library the error says why, and where to get it; the same for one that is too old."""
    for path, reason in [
        ("/nothing/libwasmedge.so.0", "cannot open"),
        (compile_fake(tmp_path, MINOR=11), "0.13 or later"),
    ]:
        monkeypatch.setenv(LIBRARY, str(path))
        with pytest.raises(EngineUnavailable, match=reason) as raised:
            WasmedgeHandler()
        assert "wasmedge.org" in (raised.value.hint or "")
