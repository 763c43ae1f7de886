"""``wasmoci.run_async``: on asyncio, trio, and anyio over either."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.isolation.sleepers import Running
from tests.support.bundles import write_native_bundle
from tests.support.leak_check import nothing_left
from tests.support.requirements import require
from tests.support.waiting import PATIENCE
from wasmoci.errors import EntrypointNotFound, InvalidBundle
from wasmoci.isolation import warm_servers
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """After each test there is nothing that wasn't there before."""
    for name in ("anyio", "trio"):
        require(importlib.util.find_spec(name), f"needs {name}: pip install {name}")
    importlib.import_module("trio")
    for jailed in (False, True):
        warm_servers.DEFAULT.warm_up(jailed=jailed)
    with nothing_left():
        yield


Start = "Callable[[Callable[[], Awaitable[Any]]], Any]"


@pytest.fixture(params=["asyncio", "trio", "anyio on asyncio", "anyio on trio"])
def loop(request: pytest.FixtureRequest) -> Start:
    """Runs an async function on a loop of each kind."""
    kind: str = request.param
    if kind == "asyncio":
        return lambda function: asyncio.run(function())  # type: ignore[arg-type]
    if kind == "trio":
        return lambda function: importlib.import_module("trio").run(function)  # type: ignore[no-any-return]
    anyio = importlib.import_module("anyio")
    return lambda function: anyio.run(function, backend=kind.rpartition(" ")[2])  # type: ignore[no-any-return]


@pytest.fixture
def sleeper(make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> Path:
    """A bundle whose guest says that it has begun, sleeps, and says that it is done."""
    usable("wasm3")
    return make_bundle(guest("sleep"))


def test_result_is_that_of_a_run(engine: str, make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> None:
    """What is awaited is what would have been returned."""
    bundle = make_bundle(guest("cat"))
    result = asyncio.run(wasmoci.run_async(bundle, engine=engine, stdin=b"in", timeout=60, memory=64 << 20))
    assert (result.exit_code, result.stdout, result.stderr, result.engine) == (0, b"in", b"", engine)


def test_on_each_loop(loop: Start, make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> None:
    """It works wherever a task runs; output comes while the guest runs, on the loop's thread."""
    usable("wasm3")
    server = make_bundle(guest("serve"))
    chunks: list[bytes] = []
    threads: set[int] = set()
    reading, writing = os.pipe()

    def take(data: bytes) -> None:
        if not chunks:
            os.close(writing)  # which the guest, that says it is ready, waits for
        chunks.append(data)
        threads.add(threading.get_ident())

    async def main() -> wasmoci.ExecutionResult:
        stdio = Stdio(stdin=reading, stdout=take, stderr=Stream.NULL)
        return await wasmoci.run_async(server, engine="wasm3", stdio=stdio, timeout=PATIENCE)

    assert loop(main).ok  # type: ignore[operator]
    os.close(reading)
    assert (b"".join(chunks), threads) == (b"ready\ndone\n", {threading.get_ident()})


def test_time_limit(loop: Start, sleeper: Path) -> None:
    """A limit ends the guest, and the result says so."""

    async def main() -> wasmoci.ExecutionResult:
        return await wasmoci.run_async(sleeper, engine="wasm3", timeout=0.1)

    result = loop(main)  # type: ignore[operator]
    assert result.reason is ExitReason.TIMED_OUT


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("seconds", [0, 0.005, 0.02, 0.3])
def test_cancelled_at_any_time(backend: str, seconds: float, sleeper: Path) -> None:
    """A cancellation comes through at once, before, while or after the guest starts, and nothing of the guest is left."""
    anyio = importlib.import_module("anyio")

    async def main() -> bool:
        with anyio.move_on_after(seconds) as scope:
            await wasmoci.run_async(sleeper, engine="wasm3")
        return bool(scope.cancelled_caught)

    began = time.monotonic()
    assert anyio.run(main, backend=backend)
    assert time.monotonic() - began < PATIENCE


def test_cancelled_task_of_asyncio(sleeper: Path) -> None:
    """A task is cancelled, as by ``wait_for``."""

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wasmoci.run_async(sleeper, engine="wasm3"), 0.2)

    asyncio.run(main())


def test_many_in_flight(sleeper: Path) -> None:
    """32 guests at a time, while the loop has time for others."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    async def main() -> list[wasmoci.ExecutionResult]:
        counter = asyncio.create_task(count())
        results = await asyncio.gather(
            *(wasmoci.run_async(sleeper, engine="wasm3", args=["0.3"], timeout=60) for _ in range(32))
        )
        counter.cancel()
        return results

    assert {result.stdout for result in asyncio.run(main())} == {b"begun\ndone\n"}
    assert turns >= 10


def test_pool_in_tasks(loop: Start, sleeper: Path) -> None:
    """A pool bounds the guests of tasks too; one that is cancelled while it waits for its turn takes none from the others."""
    anyio = importlib.import_module("anyio")
    running = Running()

    async def main(pool: wasmoci.WorkerPool) -> None:
        stdio = Stdio(stdin=Stream.NULL, stdout=running.take, stderr=Stream.NULL)

        async def one(limit: float) -> None:
            with anyio.move_on_after(limit):
                await pool.run_async(sleeper, args=["0.1"], stdio=stdio)

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(one, 0 if number % 4 == 3 else 60)

    with wasmoci.WorkerPool(2, engines=("wasm3",)) as pool:
        loop(lambda: main(pool))  # type: ignore[operator]
        assert pool.run(sleeper, args=["0"]).ok
    assert (running.most <= 2, running.begun, running.done) == (True, 6, 6)


def test_errors_are_raised(loop: Start, tmp_path: Path, make_bundle: Callable[..., Path]) -> None:
    """What can't be run raises what it raises elsewhere."""

    async def missing() -> None:
        await wasmoci.run_async(tmp_path / "none")

    async def without_program() -> None:
        await wasmoci.run_async(make_bundle(b"\0asm\1\0\0\0", entry="/none"))

    for function, expected in ((missing, InvalidBundle), (without_program, EntrypointNotFound)):
        with pytest.raises(expected):
            loop(function)  # type: ignore[operator]


def test_function_that_raises(loop: Start, sleeper: Path) -> None:
    """An exception of a function that takes output ends the run."""

    def refuse(_data: bytes) -> None:
        raise LookupError("enough")

    async def main() -> None:
        await wasmoci.run_async(sleeper, engine="wasm3", stdio=Stdio(stdin=b"", stdout=refuse, stderr=Stream.NULL))

    with pytest.raises(LookupError, match="enough"):
        loop(main)  # type: ignore[operator]


def test_native(loop: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A native container is awaited by the same call."""
    require(shutil.which("runc"), "native containers need runc: apt install runc")
    monkeypatch.setenv("WASMOCI_NATIVE_RUNTIME", "runc")
    bundle = write_native_bundle(tmp_path / "native", "cat; exit 3")

    async def main() -> wasmoci.ExecutionResult:
        return await wasmoci.run_async(bundle, stdin=b"in")

    result = loop(main)  # type: ignore[operator]
    assert (result.exit_code, result.stdout, result.engine) == (3, b"in", "runc")


def test_without_a_loop(sleeper: Path) -> None:
    """A coroutine that somebody drives by hand is refused."""
    coroutine = wasmoci.run_async(sleeper)
    with contextlib.closing(coroutine), pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


def test_coroutine_that_is_thrown_away(sleeper: Path) -> None:
    """A run that nobody awaits any more ends its guest."""

    async def main() -> None:
        coroutine = wasmoci.run_async(sleeper, engine="wasm3")
        coroutine.send(None)
        await asyncio.sleep(0.1)
        coroutine.close()

    asyncio.run(main())
