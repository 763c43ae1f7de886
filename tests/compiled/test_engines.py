"""Our engines keep what they make of a module, and take no harm from what they find."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

import wasmoci
from tests.cli.command import wasmoci as command
from tests.conftest import usable
from wasmoci import compiled
from wasmoci.compiled import code_cache
from wasmoci.dispatch import registry
from wasmoci.handlers.contract import Precompiling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci import ExecutionResult
    from wasmoci.handlers.contract import EngineHandler

LIMITS = [
    wasmoci.Limits(),
    wasmoci.Limits(time=60.0),
    wasmoci.Limits(memory=64 << 20),
    wasmoci.Limits(fuel=1 << 40),
]


def fresh(name: str) -> EngineHandler:
    """A handler that has nothing in memory."""
    return type(registry.default().load(name))()


def execute(handler: EngineHandler, path: Path, limits: wasmoci.Limits = LIMITS[0]) -> ExecutionResult:
    """Run a bundle with its output captured."""
    bundle = wasmoci.Bundle.load(path)
    return handler.execute(bundle.spec, bundle.rootfs, stdio=wasmoci.Stdio.capture(), limits=limits)


def stamps(cache: Path) -> dict[str, int]:
    """When the entries' code was written."""
    return {file.name: file.stat().st_ctime_ns for file in cache.glob("*.code")}


@pytest.fixture
def hello(make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> Path:
    """A bundle that says hello."""
    return make_bundle(guest("hello"))


def test_kept(cache: Path, engine: str, hello: Path) -> None:
    """The first run makes an entry, and the second one uses it."""
    first = execute(fresh(engine), hello)
    made = stamps(cache)
    second = execute(fresh(engine), hello)
    assert (first.stdout, second.stdout) == (b"Hello, World!\n", b"Hello, World!\n")
    assert len(made) == 1
    assert stamps(cache) == made


@pytest.mark.parametrize("limits", LIMITS[1:], ids=["time", "memory", "fuel"])
def test_limits_are_other_code(cache: Path, hello: Path, limits: wasmoci.Limits, wasmtime: str) -> None:
    """Wasmtime compiles a limit into the code: each kind has its entry, and holds when it is loaded."""
    execute(fresh(wasmtime), hello)
    execute(fresh(wasmtime), hello, limits)
    assert len(stamps(cache)) == 2
    made = stamps(cache)
    assert execute(fresh(wasmtime), hello, limits).stdout == b"Hello, World!\n"
    assert stamps(cache) == made


def test_limit_holds_in_loaded_code(
    cache: Path, make_bundle: Callable[..., Path], guest: Callable[..., Path], wasmtime: str
) -> None:
    """A guest whose code was loaded is stopped like one whose code was compiled."""
    bundle = make_bundle(guest("loop"))
    limits = wasmoci.Limits(time=0.1)
    reasons = [execute(fresh(wasmtime), bundle, limits).reason for _ in range(2)]
    assert reasons == [wasmoci.ExitReason.TIMED_OUT] * 2
    assert len(stamps(cache)) == 1


@pytest.mark.parametrize("spoil", ["cut", "zero", "flip"])
def test_damaged(cache: Path, hello: Path, engine: str, spoil: str) -> None:
    """Damaged code is not run, and made anew."""
    execute(fresh(engine), hello)
    (code,) = cache.glob("*.code")
    good = code.read_bytes()
    half = len(good) // 2
    bad = {
        "cut": good[:half],
        "zero": bytes(len(good)),
        "flip": good[:half] + bytes([good[half] ^ 255]) + good[half + 1 :],
    }
    code.chmod(0o600)
    code.write_bytes(bad[spoil])
    code.chmod(0o400)
    assert execute(fresh(engine), hello).stdout == b"Hello, World!\n"
    assert code.read_bytes() == good


def test_refused_modules_are_not_kept(cache: Path, make_bundle: Callable[..., Path], wasmtime: str) -> None:
    """What the engine refuses is refused again."""
    bundle = make_bundle(
        b"\0asm\1\0\0\0\x01\x05\x01\x60\0\1\x7f\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b"
    )
    for _ in range(2):
        with pytest.raises(wasmoci.InvalidModule):
            execute(fresh(wasmtime), bundle)
    assert stamps(cache) == {}


def test_worker_process(cache: Path, hello: Path, engine: str) -> None:
    """A worker process uses the same entries, and its warnings are told by its caller."""
    wasmoci.run(hello, engine=engine, isolation="process").check()
    made = stamps(cache)
    assert execute(fresh(engine), hello).stdout == b"Hello, World!\n"
    assert (len(made), stamps(cache)) == (1, made)


def test_worker_warns_through_its_caller(cache: Path, hello: Path, warnings: list[str], engine: str) -> None:
    """Nothing of the cache gets into a guest's standard error."""
    cache.mkdir(parents=True, mode=0o700)
    cache.chmod(0o777)
    with (hello / "rootfs" / "app.wasm").open("ab") as module:
        module.write(b"\x00\x05\x04warn")  # a section that makes it another module than the server may have at hand
    result = wasmoci.run(hello, engine=engine, isolation="process")
    assert (result.stdout, result.stderr) == (b"Hello, World!\n", b"")
    assert len(warnings) == 1
    assert str(cache) in warnings[0]


@pytest.mark.parametrize("limits", [LIMITS[0], LIMITS[2]], ids=["plain", "memory"])
def test_provided(
    cache: Path, hello: Path, tmp_path: Path, engine: str, limits: wasmoci.Limits, monkeypatch: Any
) -> None:
    """A process that is given the file needs no cache."""
    if engine == "wasmer" and sys.version_info >= (3, 11):
        pytest.skip("the SDK has a cache of its own")
    handler = fresh(engine)
    assert isinstance(handler, Precompiling)
    module = wasmoci.Module.read(hello / "rootfs" / "app.wasm")
    kept = handler.precompile(module, limits)
    assert kept is not None
    given = tmp_path / "given"
    os.link(kept, given)
    given.chmod(0o644)
    for file in cache.iterdir():
        file.unlink()
    monkeypatch.setattr(code_cache, "_provided", {})
    compiled.provide(module.digest, given)
    assert execute(fresh(engine), hello, limits).stdout == b"Hello, World!\n"
    assert list(cache.iterdir()) == []


def test_a_provided_file_that_fits_nothing(
    cache: Path, hello: Path, tmp_path: Path, wasmtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A given file that the engine can't load is left alone."""
    (tmp_path / "given").write_bytes(b"no code")
    monkeypatch.setattr(code_cache, "_provided", {})
    compiled.provide(wasmoci.Module.read(hello / "rootfs" / "app.wasm").digest, tmp_path / "given")
    assert execute(fresh(wasmtime), hello).stdout == b"Hello, World!\n"
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_command(hello: Path, wasmtime: str) -> None:
    """The command fills the cache, shows it and empties it."""
    assert command("cache", "warm", "--engine", wasmtime, str(hello)).stdout.startswith(b"wasmtime: /")
    report = json.loads(command("cache", "info", "--json").stdout)
    (entry,) = report["entries"]
    assert (entry["engine"], entry["size"], report["problem"]) == ("wasmtime", report["size"], "")
    assert b"wasmtime" in command("cache", "info").stdout
    assert command("cache", "prune").stdout == b"0 entries removed (0 B)\n"
    assert command("cache", "prune", "--all").stdout.startswith(b"1 entries removed (")


def test_warm(cache: Path, hello: Path, engine: str) -> None:
    """The file that is kept is named, on each engine; another time it is the same."""
    first = command("cache", "warm", "--engine", engine, str(hello))
    (code,) = cache.glob("*.code")
    assert (first.returncode, first.stdout.decode()) == (0, f"{engine}: {code}\n")
    document = json.loads(command("cache", "warm", "--json", "--engine", engine, str(hello)).stdout)
    module = wasmoci.Module.read(hello / "rootfs" / "app.wasm")
    assert document == {"engine": engine, "module": module.digest, "file": str(code)}


@pytest.mark.parametrize("variables", [{"WASMOCI_CACHE": "off"}, {"WASMOCI_CACHE_SIZE": "1"}], ids=["off", "full"])
def test_warm_in_vain(hello: Path, engine: str, tmp_path: Path, variables: dict[str, str]) -> None:
    """A script is told that nothing could be stored."""
    env = {"WASMOCI_CACHE": str(tmp_path / "empty"), **variables}
    result = command("cache", "warm", "--engine", engine, str(hello), env=env)
    assert (result.returncode, result.stdout.decode()) == (1, f"{engine}: nothing could be stored\n")
    document = json.loads(command("cache", "warm", "--json", "--engine", engine, str(hello), env=env).stdout)
    assert document["file"] is None


def test_prune_for_programs(cache: Path, hello: Path, wasmtime: str) -> None:
    """What was removed, as JSON; also where there is no cache."""
    command("cache", "warm", "--engine", wasmtime, str(hello))
    size = sum(code.stat().st_size for code in cache.glob("*.code"))
    pruned = json.loads(command("cache", "prune", "--all", "--json").stdout)
    assert pruned == {"directory": str(cache), "entries": 1, "size": size}
    without = json.loads(command("cache", "prune", "--json", env={"WASMOCI_CACHE": "off"}).stdout)
    assert without == {"directory": None, "entries": 0, "size": 0}


@pytest.fixture
def wasmtime() -> str:
    """The name of wasmtime, where it is usable."""
    usable("wasmtime")
    return "wasmtime"
