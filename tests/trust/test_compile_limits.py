"""A module that keeps a compiler busy, or kills it, on every way in: it is ended at the limit, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.waiting import PATIENCE, wait_for
from tests.trust import bombs
from wasmoci.errors import CompileLimitExceeded, EngineCrashed, UnsupportedModule
from wasmoci.isolation import preparation
from wasmoci.isolation.compile_bounds import Bounds
from wasmoci.limits import Limits
from wasmoci.testing.leak_check import children
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.heavy

BOMB = bombs.nested_loops(1200)  # minutes
COMPILERS = ("wasmtime", "wasmer")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A compile cache, in which nothing is left of what was ended, nor any process."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("WASMOCI_CACHE", str(directory))
    before = children()
    yield directory
    assert [file.name for file in directory.rglob("*") if file.suffix in (".lock", ".part")] == []
    assert children() - before == set()


@pytest.fixture
def bomb(make_bundle: Callable[..., Path]) -> Path:
    """A bundle with such a module."""
    return make_bundle(BOMB)


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of one second."""
    monkeypatch.setenv("WASMOCI_COMPILE_TIMEOUT", "1")


def run_in_pool(bundle: Path, engine: str) -> None:
    """Run it in a pool of workers."""
    with wasmoci.WorkerPool(1) as pool:
        pool.run(bundle, engine=engine)


def start(bundle: Path, engine: str) -> None:
    """Start it, and end it."""
    with wasmoci.start(bundle, engine=engine):
        pass


WAYS: dict[str, Callable[[Path, str], object]] = {
    "run": lambda bundle, engine: wasmoci.run(bundle, engine=engine),
    "inline": lambda bundle, engine: wasmoci.run(bundle, engine=engine, isolation="inline"),
    "process": lambda bundle, engine: wasmoci.run(bundle, engine=engine, isolation="process"),
    "run_async": lambda bundle, engine: asyncio.run(wasmoci.run_async(bundle, engine=engine)),
    "start": start,
    "pool": run_in_pool,
}


@pytest.mark.parametrize("kept", ["cache", "off"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", COMPILERS)
@pytest.mark.usefixtures("second")
def test_library(engine: str, way: str, kept: str, bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to run a guest ends at the limit, with the same error."""
    usable(engine)
    if kept == "off":
        monkeypatch.setenv("WASMOCI_CACHE", "off")
    with pytest.raises(CompileLimitExceeded, match=f"{engine} has not compiled it within 1 s") as caught:
        WAYS[way](bomb, engine)
    assert (caught.value.limit, caught.value.exit_status) == ("time", 126)


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_text(timeout: float | None, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """To assemble a text is part of it."""
    usable("wasmtime")
    monkeypatch.setenv("WASMOCI_COMPILE_TIMEOUT", "0.5")
    bundle = make_bundle(bombs.deep_text(80_000), program="/app.wat")
    with pytest.raises(CompileLimitExceeded, match=r"wasmtime has not compiled it within 0\.5 s"):
        wasmoci.run(bundle, engine="wasmtime", timeout=timeout)


@pytest.mark.parametrize("kept", ["cache", "off"])
def test_good_text(kept: str, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is no bomb runs, with and without a limit, twice."""
    usable("wasmtime")
    if kept == "off":
        monkeypatch.setenv("WASMOCI_CACHE", "off")
    bundle = make_bundle(bombs.deep_text(200), program="/app.wat")
    for timeout in (None, None, 5.0, 5.0):
        assert wasmoci.run(bundle, engine="wasmtime", timeout=timeout).check().exit_code == 0


def test_memory(make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, too."""
    usable("wasmtime")
    monkeypatch.setenv("WASMOCI_COMPILE_MEMORY", "24Mi")
    with pytest.raises(CompileLimitExceeded, match="was refused memory by the limit of 25165824 bytes"):
        wasmoci.run(make_bundle(bombs.nested_tables(600, 1000)), engine="wasmtime")


@pytest.mark.parametrize("isolation", ["jail", "process"])
def test_engine_that_compiles_where_it_runs(
    isolation: str, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a cache an engine that is no sandbox compiles in the guest's own process, and is ended at the same limit."""
    usable("wasm3")
    monkeypatch.setenv("WASMOCI_CACHE", "off")
    monkeypatch.setenv("WASMOCI_COMPILE_TIMEOUT", "1")
    bundle = make_bundle(bombs.nested_tables(1200, 1500))
    with pytest.raises(
        CompileLimitExceeded, match="wasm3 has not compiled the module and started it within 1 s"
    ) as error:
        wasmoci.run(bundle, engine="wasm3", isolation=isolation)
    assert "--compile-timeout" in (error.value.hint or "")


COMMANDS = [
    (["run"], 126, "wasmtime has not compiled it within 1 s"),
    (["run", "--isolation", "process"], 126, "wasmtime has not compiled it within 1 s"),
    (["run", "--isolation", "inline"], 126, "wasmtime has not compiled it within 1 s"),
    (["cache", "warm"], 126, "wasmtime has not compiled it within 1 s"),
]


def command(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Call the command."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "wasmoci", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


@pytest.mark.parametrize(("arguments", "status", "message"), COMMANDS, ids=lambda value: str(value)[:24])
def test_command(arguments: list[str], status: int, message: str, bomb: Path) -> None:
    """The command says so, and ends with 126."""
    usable("wasmtime")
    done = command(*arguments, "--engine", "wasmtime", "--compile-timeout", "1", bomb)
    assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (status, True, False)


@pytest.mark.parametrize("text", ["soon", "-1", "nan"])
def test_wrong_option(text: str, bomb: Path) -> None:
    """An invalid duration is refused."""
    done = command("run", f"--compile-timeout={text}", bomb)
    assert (done.returncode, f"invalid duration {text!r}" in done.stderr) == (125, True)


def test_no_limit(make_bundle: Callable[..., Path]) -> None:
    """Without a limit it takes as long as it takes."""
    usable("wasmtime")
    done = command("run", "--engine=wasmtime", "--compile-timeout=none", make_bundle(bombs.nested_tables(100, 200)))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["run"], ["cache", "warm"]], ids=" ".join)
def test_interrupt(arguments: list[str], bomb: Path) -> None:
    """Ctrl-C ends the command at once, and the process that compiles with it."""
    usable("wasmtime")
    process = subprocess.Popen(
        [sys.executable, "-m", "wasmoci", *arguments, "--engine=wasmtime", bomb], stderr=subprocess.DEVNULL
    )
    found: set[int] = set()

    def compiles() -> bool:
        found.update(int(child) for child in _children(process.pid))
        return bool(found)

    wait_for("the process that compiles", compiles)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) in (-signal.SIGINT, 128 + signal.SIGINT)
    wait_for("its end", lambda: not any(Path("/proc", str(child)).exists() for child in found))


def _children(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    except OSError:
        return []


def test_waiter(tmp_path: Path) -> None:
    """Who waits for another one that compiles the same waits no longer than its own limit."""
    usable("wasmtime")
    handler = wasmoci.Dispatcher().registry.load("wasmtime")
    errors: list[CompileLimitExceeded] = []

    def compile_(seconds: float) -> None:
        program = Module.from_bytes(BOMB, source="bomb.wasm")
        try:
            preparation.prepare(handler, program, Limits(), Bounds(time=seconds, memory=None))
        except CompileLimitExceeded as error:
            errors.append(error)

    slow = threading.Thread(target=compile_, args=(6.0,))
    slow.start()
    wait_for("its lock", lambda: any(_is_held(file) for file in (tmp_path / "cache").rglob("*.lock")))
    compile_(1.0)
    assert slow.is_alive()
    slow.join()
    assert "another process has not compiled it for wasmtime within 1" in errors[0].message
    assert "wasmtime has not compiled it within 6 s" in errors[1].message


def _is_held(file: Path) -> bool:
    """Whether somebody has a lock, whose file is there a moment before."""
    with contextlib.suppress(FileNotFoundError), file.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def crashing(make_bundle: Callable[..., Path]) -> Path:
    """A bundle over which wasm3 would die, if it were given it."""
    usable("wasm3")
    return make_bundle(bombs.crashes_wasm3())


REFUSED = "needs multi-value, which wasm3 doesn't have"


@pytest.mark.parametrize("isolation", [None, "jail", "process", "inline"])
def test_module_that_crashes_a_compiler(crashing: Path, isolation: str | None) -> None:
    """wasm3 isn't given what its compiler is known to get wrong, wherever it is to run."""
    with pytest.raises(UnsupportedModule, match=REFUSED):
        wasmoci.run(crashing, engine="wasm3", isolation=isolation)
    assert REFUSED in wasmoci.explain(crashing, engine="wasm3", isolation=isolation).problem


def test_engine_that_crashes() -> None:
    """Of one that is given such a module the caller lives, and is told of the crash."""
    usable("wasm3")
    careless = importlib.import_module("tests.trust.careless").CarelessHandler()
    with pytest.raises(EngineCrashed, match="the engine wasm3 crashed on the module with SIGSEGV") as caught:
        preparation.validate(careless, Module.from_bytes(bombs.crashes_wasm3(), source="app.wasm"))
    assert caught.value.signal == signal.SIGSEGV


def test_module_that_crashes_a_compiler_at_the_command(crashing: Path, tmp_path: Path) -> None:
    """So it is at the command line: the command lives, and the other engines are told of."""
    explained = command("explain", crashing)
    assert (explained.returncode, REFUSED in explained.stdout) == (0, True)
    built = command("build", "-o", f"oci:{tmp_path / 'layout'}", crashing / "rootfs" / "app.wasm")
    assert (built.returncode, "Traceback" in built.stderr) == (0, False)
    warmed = command("cache", "warm", "--engine", "wasm3", crashing)
    assert (warmed.returncode, REFUSED in warmed.stderr) == (126, True)


def test_small() -> None:
    """The worst of what is compiled in the caller's process is small indeed, and known to be an engine's that is a sandbox."""
    handler = wasmoci.Dispatcher().registry.load("wasmtime")
    small, large = bombs.nested_loops(55), bombs.nested_loops(120)
    assert len(small) <= preparation.INLINE_SIZE < len(large)
    assert preparation.is_here(handler, Module.from_bytes(small))
    assert not preparation.is_here(handler, Module.from_bytes(large))
