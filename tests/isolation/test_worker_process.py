"""A worker process: whatever happens in it costs one run, and never the caller."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.isolation.puppet import Guarded, Outer, Puppet
from tests.support.leak_check import nothing_left
from tests.support.waiting import PATIENCE
from wasmoci.errors import EngineCrashed, EngineError, InvalidModule, UnsupportedModule
from wasmoci.isolation.warm_servers import Servers
from wasmoci.isolation.worker_process import launch
from wasmoci.limits import Limits
from wasmoci.oci.spec import Process, Spec
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Capture, Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]
NO_LIMITS = Limits()


Run: TypeAlias = "Callable[..., ExecutionResult]"


def run_in(
    servers: Servers | None,
    *args: str,
    stdio: Stdio | None = None,
    limits: Limits = NO_LIMITS,
    handler: Puppet | None = None,
) -> ExecutionResult:
    """Have a puppet act in a worker."""
    with launch(
        handler or Puppet(),
        Spec(process=Process(args=args)),
        Path("/"),
        stdio=stdio or Stdio.capture(),
        limits=limits,
        servers=servers,
    ) as running:
        return running.wait()


@pytest.fixture
def run(servers: Servers | None) -> Run:
    """Has a puppet act in a worker of either kind."""
    return functools.partial(run_in, servers)


@pytest.fixture(autouse=True)
def _nothing_left(servers: Servers | None) -> Iterator[None]:
    """After each test there is nothing that wasn't there before."""
    with nothing_left():
        yield


@pytest.mark.parametrize("code", [0, 1, 7, 255, 2**32 - 1])
def test_exit_code_arrives_whole(run: Run, code: int) -> None:
    """A guest's code comes back as it was given."""
    result = run("exits", str(code))
    assert (result.exit_code, result.reason, result.engine) == (code, ExitReason.EXITED, "puppet")


def test_trap_arrives_with_its_backtrace(run: Run) -> None:
    """A trap comes with the engine's message and the guest's frames."""
    result = run("traps")
    assert (result.reason, result.message, result.backtrace) == (ExitReason.TRAPPED, "unreachable", ("inner", "outer"))


@pytest.mark.parametrize(
    ("act", "number"), [("segfaults", signal.SIGSEGV), ("aborts", signal.SIGABRT)], ids=["segfault", "abort"]
)
def test_crash_is_one_exception(run: Run, act: str, number: int) -> None:
    """An engine that crashes costs one EngineCrashed, which has the signal and the last words."""
    with pytest.raises(EngineCrashed) as caught:
        run(act)
    assert caught.value.signal == number
    assert caught.value.stderr == ("about to crash\n" if act == "segfaults" else "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("leaves", "3"), "puppet's process ended with status 3 and without an answer"),
        (("leaves", "0"), "puppet's process ended with status 0 and without an answer"),
        (("raises",), "the handler of puppet failed: ZeroDivisionError: one too many"),
        (("exits_python",), "the handler of puppet failed: SystemExit: 3"),
        (("interrupted",), "the handler of puppet failed: KeyboardInterrupt"),
        (("returns_nothing",), "the handler of puppet failed: AttributeError"),
        (("returns_bytes",), "the handler of puppet failed: TypeError"),
        (("no_such_act",), "the handler of puppet failed: AttributeError"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_broken_handler_is_one_exception(run: Run, args: tuple[str, ...], message: str) -> None:
    """A handler that leaves, raises or returns nonsense costs one EngineCrashed that says so."""
    with pytest.raises(EngineCrashed) as caught:
        run(*args)
    assert caught.value.message.startswith(message)


def test_python_failure_keeps_its_traceback(run: Run) -> None:
    """The traceback of a handler's failure is at hand."""
    with pytest.raises(EngineCrashed) as caught:
        run("raises")
    assert "in raises" in caught.value.stderr


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("refuses", UnsupportedModule("app.wasm: needs simd", hint="take another engine")),
        ("finds_damage", InvalidModule("truncated", source="app.wasm", offset=17)),
    ],
)
def test_own_errors_cross_whole(run: Run, act: str, expected: Exception) -> None:
    """An error of wasmoci's own is raised again as it was, class, message and attributes."""
    with pytest.raises(type(expected)) as caught:
        run(act)
    assert (str(caught.value), vars(caught.value)) == (str(expected), vars(expected))


@pytest.mark.parametrize(
    "data",
    [
        b"\x05\0\0\0hello",
        b"\xff\xff\xff\xff",
        b"\2\0\0\0[]",
        b"\2\0\0\0{}",
        b"\3\0\0\0\xff\xfe\xfd",
        b"\0\0\1\0" + b"[" * (1 << 16),
        b'\x11\0\0\0{"event":"bogus"}',
    ],
    ids=["not JSON", "too long", "no object", "no event", "not UTF-8", "nested", "unknown event"],
)
def test_garbage_on_the_channel(run: Run, data: bytes) -> None:
    """Bytes that are no messages cost one EngineCrashed."""
    with pytest.raises(EngineCrashed) as caught:
        run("sends", data.hex(), limits=Limits(time=30))
    assert caught.value.message.startswith("puppet's process ")


def test_answer_counts_though_the_process_stays(run: Run) -> None:
    """A worker that has answered is not waited for."""
    assert run("stays_after_answer").exit_code == 5


@pytest.mark.parametrize(
    "act", ["hangs", "loops", "spams_for_ever", "restarts_its_clock", "hangs_up"], ids=lambda act: act
)
def test_time_limit_holds(run: Run, act: str) -> None:
    """Whatever the guest or its engine does, its limit ends it."""
    result = run(act, limits=Limits(time=0.5), stdio=Stdio(stdin=b"", stdout=Stream.NULL, stderr=Stream.NULL))
    assert (result.reason, result.exit_code) == (ExitReason.TIMED_OUT, 124)
    assert result.message == "it ran past its time limit of 0.5 s"
    assert 0.5 <= result.duration < PATIENCE


def test_output_before_the_time_limit_is_kept(run: Run) -> None:
    """What the guest had written when its time was over is in the result."""
    assert run("hangs", limits=Limits(time=1)).stdout == b"before"


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "SIGKILL"), (signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT"), (40, "signal 40")],
)
def test_signal_from_outside(run: Run, number: int, reason: str) -> None:
    """A worker that somebody stops gives SIGNALED and 128 + the signal's number."""
    result = run("signals", str(int(number)))
    assert (result.reason, result.exit_code) == (ExitReason.SIGNALED, 128 + number)
    assert result.message == f"its process was stopped by {reason}"


@pytest.mark.parametrize("act", ["leaves_child", "hides_behind_child"])
def test_child_that_keeps_the_streams_open(run: Run, act: str) -> None:
    """A process that the engine leaves behind doesn't keep its caller waiting."""
    chunks: list[bytes] = []
    stdio = Stdio(stdin=b"", stdout=chunks.append, stderr=Capture())
    began = time.monotonic()
    if act == "leaves_child":
        with pytest.raises(EngineCrashed, match="status 0"):
            run(act, stdio=stdio)
    else:
        assert run(act, stdio=stdio, limits=Limits(time=1)).reason is ExitReason.TIMED_OUT
    assert time.monotonic() - began < PATIENCE
    os.kill(int(b"".join(chunks)), signal.SIGKILL)


@pytest.mark.parametrize("kind", ["None", "Servers(eager=True)"], ids=["cold", "warm"])
def test_worker_dies_with_its_caller(kind: str) -> None:
    """A caller that is killed takes its worker along."""
    script = f"""
from tests.isolation.test_worker_process import run_in
from wasmoci.isolation.warm_servers import Servers
from wasmoci.stdio import Stdio, Stream
run_in({kind}, "tells_pid", stdio=Stdio(stdin=b"", stdout=Stream.INHERIT, stderr=Stream.NULL))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=REPOSITORY) as caller:
        assert caller.stdout is not None
        worker = int(caller.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        caller.kill()
        # The end of the pipe: nobody holds it open any more, so the worker is gone as well.
        assert caller.stdout.read() == b""


def test_callback_that_raises_ends_the_run(run: Run) -> None:
    """An exception of the caller's own function reaches the caller, and the worker is gone."""

    def refuse(_chunk: bytes) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        run("spams_for_ever", stdio=Stdio(stdin=b"", stdout=refuse, stderr=Stream.NULL))


def test_nothing_leaks_over_many_runs(run: Run) -> None:
    """Two dozen runs from four threads leave no process, descriptor or thread behind."""
    codes: list[int] = []
    before = threading.active_count()

    def work(start: int) -> None:
        codes.extend(run("exits", str(code)).exit_code for code in range(start, start + 6))

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 6, 12, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == list(range(24))
    assert threading.active_count() == before


def test_caller_keeps_its_own_children(run: Run) -> None:
    """A child that the caller has started by itself is not reaped."""
    with subprocess.Popen(["sh", "-c", "exit 9"]) as child:
        assert run("exits", "1").exit_code == 1
        assert child.wait() == 9


def test_limits_reach_the_handler(run: Run) -> None:
    """Memory and fuel are the handler's to hold; time is the caller's."""
    limits = Limits(time=20.0, memory=1 << 20, fuel=5)
    result = run("tells_limits", limits=limits, handler=Guarded())
    assert json.loads(result.stdout or b"") == {"time": None, "memory": 1 << 20, "fuel": 5}


@pytest.mark.parametrize("limits", [Limits(time=1e300, memory=1 << 90), Limits(time=float("inf"), memory=1 << 62)])
def test_limits_that_nothing_reaches(run: Run, limits: Limits) -> None:
    """A limit may be as high as one likes."""
    assert run("exits", "6", limits=limits).exit_code == 6


def test_class_inside_a_class_can_be_imported(run: Run) -> None:
    """A qualified name is followed."""
    assert run("exits", "3", handler=Outer.Inner()).exit_code == 3


def test_class_inside_a_function_is_refused(run: Run) -> None:
    """A handler that no worker can import is refused, with a hint."""

    class Hidden(Puppet):
        pass

    with pytest.raises(EngineError, match="a worker process can't import this handler"):
        run("exits", "0", handler=Hidden())


def test_path_may_hold_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """What isn't text on ``sys.path`` is left out, as Python itself ignores it."""
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/somewhere"), "", "/no/such/place", "/\udcff"])
    with contextlib.closing(Servers(eager=True)) as warm:
        assert [run_in(servers, "exits", "6").exit_code for servers in (None, warm)] == [6, 6]
