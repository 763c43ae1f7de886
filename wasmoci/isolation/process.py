"""The caller's side of a worker process: start it, pass streams on, hold the time limit, read how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from wasmoci.errors import EngineCrashed, EngineError
from wasmoci.handlers.base import Outcome
from wasmoci.isolation import messages
from wasmoci.pump import Pump
from wasmoci.result import ExecutionResult, ExitReason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wasmoci.handlers.base import EngineHandler
    from wasmoci.limits import Limits
    from wasmoci.spec import Spec
    from wasmoci.stdio import Stdio, Streams

START_LIMIT = 300.0
"""Seconds that an engine may take to load and compile, where the guest has a time limit."""

FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)
"""Signals that a process brings upon itself: with these the engine crashed, with others somebody stopped it."""

_CHUNK = 1 << 16

# The worker can't import this package before it has the caller's path, so the request is read here, by hand.
_BOOT = """
import json, os, sys
fd, parent = int(sys.argv[1]), int(sys.argv[2])
def read(n):
    data = b""
    while len(data) < n:
        chunk = os.read(fd, n - len(data))
        if not chunk:
            os._exit(1)
        data += chunk
    return data
request = json.loads(read(int.from_bytes(read(4), "little")))
sys.path[:] = request["path"]
from wasmoci.isolation.worker import main
main(fd, parent, request)
"""


def execute_in_worker(
    handler: EngineHandler, spec: Spec, rootfs: Path, *, stdio: Stdio, limits: Limits
) -> ExecutionResult:
    """Run a guest in a process of its own, which is gone when this returns or raises.

    Args:
        handler: The engine; its class has to be importable, and to be made without arguments.
        spec: The container's spec.
        rootfs: Its root file system, a host path.
        stdio: Its streams.
        limits: What it may use.

    Raises:
        EngineCrashed: The process died of a fault, or gave no answer.
        WasmociError: The guest could not be started.
    """
    request = messages.request(reference_of(handler), spec, str(rootfs), limits, sys.path)
    with stdio.open() as streams, _Worker(handler.name, streams) as worker:
        worker.send(request)
        result = worker.wait(limits)
        return messages.with_output(
            result,
            stdout=streams.stdout.captured,
            stderr=streams.stderr.captured,
            stdout_truncated=streams.stdout.truncated,
            stderr_truncated=streams.stderr.truncated,
        )


def reference_of(handler: EngineHandler) -> str:
    """Where a worker finds a handler's class, as ``module:qualified.name``.

    Raises:
        EngineError: A worker can't find it: it is local to a function, or to the program that is run.
    """
    kind = type(handler)
    if kind.__module__ == "__main__" or "<" in kind.__qualname__:
        raise EngineError(
            f"{kind.__module__}.{kind.__qualname__}: a worker process can't import this handler",
            hint="define its class at the top of a module that can be imported",
        )
    return f"{kind.__module__}:{kind.__qualname__}"


class _Worker:
    """A worker process, the socket to it, and its outputs."""

    def __init__(self, engine: str, streams: Streams) -> None:
        self._engine = engine
        self._decoder = messages.Decoder()
        self._answer: dict[str, Any] | None = None
        self._started: float | None = None
        with contextlib.ExitStack() as stack:
            self._pump = stack.enter_context(Pump())
            self._channel, theirs = socket.socketpair()
            stack.enter_context(self._channel)
            with theirs:
                self._process = self._launch(streams, theirs)
            self._launched = time.monotonic()
            self._pump.release_child_ends()
            self._pump.watch(self._channel, self._listen)
            self._stack = stack.pop_all()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.kill()
            self._process.wait()
        finally:
            self._stack.close()

    def _launch(self, streams: Streams, theirs: socket.socket) -> subprocess.Popen[bytes]:
        if not sys.executable:
            raise EngineError("sys.executable is empty: no worker process can be started from this program")
        return subprocess.Popen(  # noqa: S603  our own interpreter
            [sys.executable, "-I", "-c", _BOOT, str(theirs.fileno()), str(os.getpid())],
            stdin=streams.stdin,
            stdout=self._pump.output(streams.stdout),
            stderr=self._pump.output(streams.stderr),
            pass_fds=[theirs.fileno()],
        )

    def send(self, request: dict[str, Any]) -> None:
        """Hand the request over."""
        # A worker that died at once has closed its end: how it died is found out by wait().
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.sendall(messages.encode(request))

    def wait(self, limits: Limits) -> ExecutionResult:
        """Serve the worker's outputs until it has ended, or its time is over."""
        if not self._pump.serve(lambda: self._deadline(limits.time)):
            self._process.kill()
            self._pump.drain()
            if self._answer is None:
                return self._overdue(limits.time)
        self._process.wait()
        return self._result(limits)

    def _deadline(self, limit: float | None) -> float | None:
        if limit is None or self._answer is not None:
            return None
        return self._launched + START_LIMIT if self._started is None else self._started + limit

    def _overdue(self, limit: float | None) -> ExecutionResult:
        if self._started is None:
            raise EngineCrashed(f"{self._engine} did not start the guest within {START_LIMIT:g} s")
        return _as_result(Outcome.timed_out(limit), self._engine, time.monotonic() - self._started)

    def _listen(self) -> None:
        try:
            data = self._channel.recv(_CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            self._pump.unwatch(self._channel)
            return
        for message in self._decode(data):
            if message.get("event") == "started":
                self._started = time.monotonic()
            else:
                self._answer = message

    def _decode(self, data: bytes) -> Iterator[dict[str, Any]]:
        try:
            yield from self._decoder.feed(data)
        except ValueError as error:
            raise EngineCrashed(f"{self._engine}'s process sent {error} in place of an answer") from None

    def _result(self, limits: Limits) -> ExecutionResult:
        answer = self._answer
        if answer is None:
            return self._died(limits)
        try:
            if answer.get("event") == "result":
                return messages.result_of(answer)
            if answer.get("event") == "error":
                error = messages.error_of(answer)
            else:
                trace = str(answer["traceback"])
                error = EngineCrashed(
                    f"the handler of {self._engine} failed: {trace.strip().splitlines()[-1]}", stderr=trace
                )
        except (KeyError, TypeError, ValueError) as problem:
            raise EngineCrashed(f"{self._engine}'s process gave an answer that makes no sense: {problem}") from None
        raise error

    def _died(self, limits: Limits) -> ExecutionResult:
        status = self._process.returncode
        if status >= 0:
            raise EngineCrashed(f"{self._engine}'s process ended with status {status} and without an answer")
        name = _signal_name(-status)
        elapsed = time.monotonic() - (self._started or self._launched)
        if -status in FAULTS:
            hint = "the engine may have run out of memory" if limits.memory is not None else None
            raise EngineCrashed(f"{self._engine} crashed with {name} while it ran the guest", signal=-status, hint=hint)
        outcome = Outcome(reason=ExitReason.SIGNALED, exit_code=128 - status, message=f"it was stopped by {name}")
        return _as_result(outcome, self._engine, elapsed)


def _as_result(outcome: Outcome, engine: str, duration: float) -> ExecutionResult:
    return ExecutionResult(
        exit_code=outcome.exit_code,
        reason=outcome.reason,
        engine=engine,
        duration=duration,
        message=outcome.message,
        backtrace=outcome.backtrace,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
