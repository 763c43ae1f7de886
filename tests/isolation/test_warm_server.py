"""The warm server: its workers are as if they were started now, and whatever dies is replaced or takes along what it should."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.isolation.puppet import Guarded, Puppet
from tests.isolation.sleepers import Running
from tests.isolation.test_worker_process import run_in
from tests.support.leak_check import nothing_left
from tests.support.waiting import PATIENCE, ended, wait_for
from wasmoci.errors import EngineCrashed
from wasmoci.host.file_cache import SETTLED
from wasmoci.isolation.handler_import import reference_of
from wasmoci.isolation.warm_servers import Servers
from wasmoci.isolation.warm_worker import WarmServer
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def own_servers() -> Iterator[Servers]:
    """Servers of one test, which are gone after it, with all that they opened."""
    with nothing_left(), contextlib.closing(Servers(eager=True)) as servers:
        yield servers


def surroundings(servers: Servers | None) -> dict[str, Any]:
    """What a worker finds around it."""
    found: dict[str, Any] = json.loads(run_in(servers, "tells_surroundings").stdout or b"")
    return found


def test_workers_share_a_server(own_servers: Servers) -> None:
    """All workers come from one server, which is no child of this process."""
    parents = {surroundings(own_servers)["parent"] for _ in range(3)}
    assert len(parents) == 1
    assert os.getpid() not in parents


def test_the_first_worker_of_a_program_is_cold() -> None:
    """A program that runs a single guest doesn't start a server for it."""
    with contextlib.closing(Servers(eager=False)) as servers:
        first, second = (surroundings(servers)["parent"] for _ in range(2))
    assert first == os.getpid()
    assert second != os.getpid()


def test_surroundings_are_those_of_the_run(
    own_servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Environment and working directory are this process's of now, as in a worker that is started; none are an earlier run's."""
    monkeypatch.setenv("EARLIER", "1")
    surroundings(own_servers)
    monkeypatch.delenv("EARLIER")
    monkeypatch.setenv("LATER", "\udcff=\n")
    monkeypatch.chdir(tmp_path)
    warm, cold = surroundings(own_servers), surroundings(None)
    del warm["parent"], cold["parent"]
    assert warm == cold
    assert warm["cwd"] == str(tmp_path)
    assert (warm["environ"]["LATER"], "EARLIER" in warm["environ"]) == ("\udcff=\n", False)


def test_file_mode_mask_is_that_of_the_run(own_servers: Servers) -> None:
    """What can't be handed over gets a server of its own."""
    first = surroundings(own_servers)["parent"]
    before = os.umask(0o077)
    try:
        assert surroundings(own_servers)["parent"] != first
    finally:
        os.umask(before)
    assert surroundings(own_servers)["parent"] == first


def test_worker_has_no_descriptor_of_another_run(own_servers: Servers) -> None:
    """A worker that starts while others run has what it would have alone."""
    alone = run_in(own_servers, "tells_descriptors").stdout
    begun: list[bytes] = []
    stdio = Stdio(stdin=b"", stdout=begun.append, stderr=Stream.NULL)
    server = surroundings(own_servers)["parent"]
    with ThreadPoolExecutor(4) as executor:
        others = [executor.submit(run_in, own_servers, "hangs", stdio=stdio) for _ in range(3)]
        wait_for("the others", lambda: len(begun) == len(others))
        beside = run_in(own_servers, "tells_descriptors").stdout
        os.kill(server, signal.SIGKILL)
        assert {other.result().reason for other in others} == {ExitReason.SIGNALED}
    assert len(json.loads(beside or b"")) == len(json.loads(alone or b""))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_server_that_dies_is_replaced(own_servers: Servers, number: int) -> None:
    """The next run has another server."""
    first = surroundings(own_servers)["parent"]
    os.kill(first, number)
    second = surroundings(own_servers)["parent"]
    assert second not in (first, os.getpid())


def test_server_whose_socket_was_closed_is_replaced() -> None:
    """A program that closes all descriptors, and gets some of their numbers again, has another server, and keeps what is its own."""
    run = subprocess.run(
        [sys.executable, "-c", _CLOSES_ALL], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "3 3 still open\n", "")


_CLOSES_ALL = """
import contextlib, os
from tests.isolation.puppet import Puppet
from tests.isolation.test_worker_process import run_in
from wasmoci.isolation.warm_servers import Servers

with contextlib.closing(Servers(eager=True)) as servers:
    first = run_in(servers, "exits", "3").exit_code
    os.closerange(3, 100)
    own = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    second = run_in(servers, "exits", "3").exit_code
for descriptor in own:
    os.fstat(descriptor)
print(first, second, "still open")
"""


def test_server_that_dies_under_a_run(own_servers: Servers) -> None:
    """Its workers die with it, and their runs end as those of any worker that is killed."""
    server = surroundings(own_servers)["parent"]

    def kill(_: bytes) -> None:
        os.kill(server, signal.SIGKILL)

    result = run_in(own_servers, "hangs", stdio=Stdio(stdin=b"", stdout=kill, stderr=Stream.NULL))
    assert (result.reason, result.exit_code) == (ExitReason.SIGNALED, 137)
    assert run_in(own_servers, "exits", "4").exit_code == 4


def test_interrupt_from_the_terminal_leaves_the_server(own_servers: Servers) -> None:
    """Ctrl-C goes to every process of the terminal; a worker ends, its server doesn't."""
    first = surroundings(own_servers)["parent"]
    os.kill(first, signal.SIGINT)
    assert surroundings(own_servers)["parent"] == first


def test_a_fork_of_the_caller_has_servers_of_its_own(own_servers: Servers) -> None:
    """A process that was forked from one with a server doesn't use that, nor end it."""
    first = surroundings(own_servers)["parent"]
    script = f"""
import os, sys
from tests.isolation.test_warm_server import surroundings
from wasmoci.isolation.warm_servers import Servers
from wasmoci.isolation.warm_worker import WarmServer
servers = Servers(eager=True)
first = surroundings(servers)["parent"]
child = os.fork()
if child == 0:
    second = surroundings(servers)["parent"]
    servers.close()
    os._exit(0 if second not in (first, os.getpid()) else 1)
assert os.waitpid(child, 0)[1] == 0
assert surroundings(servers)["parent"] == first != {first}
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=REPOSITORY, check=True)


def test_handler_that_is_loaded_is_kept(own_servers: Servers) -> None:
    """The server loads a handler that a worker has loaded without starting a thread."""
    own_servers.warm_up([reference_of(Guarded()), reference_of(Puppet())])
    assert run_in(own_servers, "exits", "3", handler=Guarded()).exit_code == 3


def test_handler_that_can_not_be_loaded(own_servers: Servers) -> None:
    """It costs its own run, and no other."""

    class Missing(Puppet):
        pass

    Missing.__module__, Missing.__qualname__ = "no_such_module", "Missing"
    with pytest.raises(EngineCrashed, match="ModuleNotFoundError"):
        run_in(own_servers, "exits", "0", handler=Missing())
    assert run_in(own_servers, "exits", "0").ok


def test_dies_with_its_caller() -> None:
    """A caller that is killed takes its server along, and that the workers."""
    script = """
import threading
from tests.isolation.test_warm_server import surroundings
from tests.isolation.test_worker_process import run_in
from wasmoci.isolation.warm_servers import Servers
from wasmoci.isolation.warm_worker import WarmServer
from wasmoci.stdio import Stdio, Stream
servers = Servers(eager=True)
print(surroundings(servers)["parent"], flush=True)
run_in(servers, "tells_pid", stdio=Stdio(stdin=b"", stdout=Stream.INHERIT, stderr=Stream.NULL))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=REPOSITORY) as caller:
        assert caller.stdout is not None
        server, worker = int(caller.stdout.readline()), int(caller.stdout.readline())
        caller.kill()
        assert caller.stdout.read() == b""
    assert [ended(pid) for pid in (worker, server)] == [True, True]


def test_ends_with_its_caller() -> None:
    """A caller that ends has ended its server first."""
    script = """
from tests.isolation.test_warm_server import surroundings
from wasmoci.isolation.warm_servers import DEFAULT
surroundings(DEFAULT)
print(surroundings(DEFAULT)["parent"])
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=REPOSITORY, check=True)
    assert ended(int(done.stdout))


def test_nothing_leaks_when_anything_is_killed(own_servers: Servers) -> None:
    """Runs end one way or another while their server is killed again and again, and nothing is left."""
    chance = random.Random(5)  # noqa: S311
    stop = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while not stop.wait(chance.uniform(0.02, 0.2)):
            with contextlib.suppress(EngineCrashed):
                server = surroundings(own_servers)["parent"]
                if server != os.getpid():
                    os.kill(server, signal.SIGKILL)
                    killed.append(server)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with ThreadPoolExecutor(4) as executor:
            results = list(executor.map(lambda code: _outcome(own_servers, code), range(40)))
    finally:
        stop.set()
        killer.join()
    assert all(outcome in (code, 137) for code, outcome in enumerate(results))
    assert all(map(ended, killed))


def _outcome(servers: Servers, code: int) -> int:
    return run_in(servers, "exits", str(code)).exit_code


def test_pool_on_each_engine(engine: str, make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> None:
    """A pool gives the results of a run; from many threads too, and nothing is left of it."""
    bundle = make_bundle(guest("show"))
    expected = wasmoci.run(bundle, engine=engine, args=["x"])
    with nothing_left(), wasmoci.WorkerPool(3, engines=(engine,)) as pool:
        assert pool.size == 3
        with ThreadPoolExecutor(8) as executor:
            results = list(executor.map(lambda _: pool.run(bundle, args=["x"], env={"A": "1"}), range(16)))
    assert {result.engine for result in results} == {engine}
    assert {result.stdout for result in results} == {(expected.stdout or b"") + b"env: A=1\n"}


def test_pool_is_bounded(make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> None:
    """No more guests run at a time than the pool is large."""
    usable("wasm3")
    bundle = make_bundle(guest("sleep"))
    running = Running()
    both = threading.Barrier(2)

    def take(data: bytes) -> None:
        if b"begun" in data:
            both.wait(PATIENCE)  # so that there are two at a time, however slow the machine
        running.take(data)

    with wasmoci.WorkerPool(2, engines=("wasm3",)) as pool, ThreadPoolExecutor(6) as executor:
        stdio = Stdio(stdin=Stream.NULL, stdout=take, stderr=Stream.NULL)
        list(executor.map(lambda _: pool.run(bundle, args=["0.1"], stdio=stdio), range(6)))
    assert (running.most <= 2, running.begun, running.done) == (True, 6, 6)


def test_pool_ends_with_its_guests(make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> None:
    """An exception that leaves the block kills what runs, and what waits for its turn never does."""
    usable("wasmtime")
    bundle, begun = make_bundle(guest("sleep")), threading.Event()

    def tell(_: bytes) -> None:
        begun.set()

    with ThreadPoolExecutor(2) as executor:
        with contextlib.suppress(KeyboardInterrupt), wasmoci.WorkerPool(1, engines=("wasmtime",)) as pool:
            stdio = Stdio(stdin=Stream.NULL, stdout=tell, stderr=Stream.NULL)
            running = executor.submit(pool.run, bundle, args=["100"], stdio=stdio)
            assert begun.wait(PATIENCE)
            waiting = executor.submit(pool.run, bundle, args=["100"], stdio=stdio)
            raise KeyboardInterrupt
        assert (running.result().reason, running.result().exit_code) == (ExitReason.SIGNALED, 137)
        with pytest.raises(RuntimeError, match="isn't open"):
            waiting.result()


def test_pool_in_a_fork_of_the_caller(make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> None:
    """A process that was forked while all of the pool's workers ran has a pool of its own, and waits for none of them."""
    usable("wasmtime")
    script = f"""
import os, threading, wasmoci
from wasmoci.stdio import Stdio, Stream
begun = threading.Event()
stdio = Stdio(stdin=Stream.NULL, stdout=lambda _: begun.set(), stderr=Stream.NULL)
with wasmoci.WorkerPool(1, engines=("wasmtime",)) as pool:
    sleep, hello = {str(make_bundle(guest("sleep")))!r}, {str(make_bundle(guest("hello")))!r}
    thread = threading.Thread(target=pool.run, args=[sleep], kwargs={{"args": ["100"], "stdio": stdio}})
    thread.start()
    assert begun.wait(30)
    child = os.fork()
    if child == 0:
        results = [pool.run(hello).ok for _ in range(2)]
        pool.__exit__()
        os._exit(0 if all(results) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert thread.is_alive()
thread.join()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=REPOSITORY, check=True, timeout=60)


def test_pool_that_is_not_open(make_bundle: Callable[..., Path]) -> None:
    """A pool runs nothing outside of its context, and has a size of 1 at least."""
    pool = wasmoci.WorkerPool(1)
    with pytest.raises(RuntimeError, match="isn't open"):
        pool.run("bundle")
    with pytest.raises(ValueError, match="expected 1 or more"):
        wasmoci.WorkerPool(0)
    with pytest.raises(TypeError, match=r"size is 1\.5; an integer was expected"):
        wasmoci.WorkerPool(1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"size is 1\.5; an integer was expected"):
        wasmoci.WorkerPool(1.5)  # type: ignore[arg-type]


def test_server_of_the_jail_is_given_no_program(
    make_bundle: Callable[..., Path], guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had, all guests would have that come from it."""
    usable("wasm3")
    told: list[str] = []
    monkeypatch.setattr(WarmServer, "remember", lambda _server, reference, _request: told.append(reference))
    bundle = make_bundle(guest("exit"))
    with wasmoci.WorkerPool(1, engines=("wasm3",)) as pool:
        for _ in range(3):
            assert pool.run(bundle, args=["3"]).exit_code == 3
    assert told == []


@pytest.mark.parametrize("engine", ["wasmtime", "wasmer"])
def test_programs_of_recent_runs_are_at_hand(
    engine: str, make_bundle: Callable[..., Path], guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that read its module has the server read it, so that the next one needn't; a file that changes is read again."""
    usable(engine)
    told: list[str] = []
    remember = WarmServer.remember

    def listen(server: WarmServer, reference: str, request: bytes) -> None:
        told.append(reference)
        remember(server, reference, request)

    monkeypatch.setattr(WarmServer, "remember", listen)
    bundle = make_bundle(guest("exit"))
    with wasmoci.WorkerPool(1, engines=(engine,)) as pool:

        def settles() -> bool:
            told.clear()
            assert pool.run(bundle, args=["3"]).exit_code == 3
            return not told

        time.sleep(SETTLED / 1e9)
        assert not settles()
        wait_for("the program to be at hand", settles)
        (bundle / "rootfs/app.wasm").write_bytes(guest("hello").read_bytes())
        assert pool.run(bundle, args=["3"]).exit_code == 0
