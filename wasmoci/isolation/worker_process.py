"""Runs a guest in a worker process: starts it, passes streams on, enforces the time limit, and reads its result."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci import compiled
from wasmoci.errors import CompileLimitExceeded, EngineCrashed, EngineError
from wasmoci.handlers.base import Outcome
from wasmoci.isolation import memory_limit, messages
from wasmoci.isolation.child_process import ChildProcess
from wasmoci.isolation.compile_bounds import MORE_TIME
from wasmoci.isolation.handler_import import reference_of
from wasmoci.isolation.jail.guest import reduced
from wasmoci.isolation.jail.root import Place
from wasmoci.isolation.new_worker import NewWorker
from wasmoci.isolation.worker_outcome import WorkerOutcome, as_result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.isolation.compile_bounds import Bounds
    from wasmoci.isolation.warm_servers import OnlyForked, Servers
    from wasmoci.isolation.warm_worker import WarmWorker
    from wasmoci.limits import Limits
    from wasmoci.oci.spec import Spec
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Stdio, Streams

START_LIMIT = 300.0
"""Seconds that an engine may take to load and compile, where the guest has a time limit."""

_GRACE = 5.0
"""Seconds more that a worker has which can say by itself that it took too long to compile."""

_CHUNK = 1 << 16


@contextlib.contextmanager
def launch(
    handler: EngineHandler,
    spec: Spec,
    rootfs: Path,
    *,
    stdio: Stdio,
    limits: Limits,
    servers: Servers | OnlyForked | None = None,
    jailed: bool = False,
    prepared: Prepared | None = None,
    preparing: Bounds | None = None,
) -> Iterator[ChildProcess]:
    """Start a guest in a process of its own, which is ended at the end of the context.

    Args:
        handler: The engine; its class has to be importable, and to be made without arguments.
        spec: The container's spec.
        rootfs: Its root file system, a host path.
        stdio: Its streams.
        limits: What it may use.
        servers: Where its process comes from; None for one that is started for it.
        jailed: Whether the process goes to the jail before it touches the guest's module.
        prepared: What the jailed process is to use in the place of the compile cache.
        preparing: What validating and compiling the module may use; None for no bound.

    Raises:
        JailUnavailable: There is no jail on this machine; by :meth:`ChildProcess.finish`.
        CompileLimitExceeded: The guest did not start, as that took more; by :meth:`ChildProcess.finish`.
        EngineCrashed: The process died of a fault, or gave no answer; by :meth:`ChildProcess.finish`.
        WasmociError: The guest could not be started; by the same.
    """
    reference = reference_of(handler)
    path = [entry for entry in sys.path if isinstance(entry, str)]  # Python itself ignores others
    digest = None if prepared is None else prepared.module
    with contextlib.ExitStack() as stack:
        told, places = stack.enter_context(_for_jail(spec, rootfs, prepared)) if jailed else (spec, None)
        streams = stack.enter_context(stdio.open())
        worker = stack.enter_context(_worker(handler.name, reference, streams, limits, servers, jailed=jailed))
        worker.start_limit = _start_limit(limits, preparing)
        worker.compile_limit = None if preparing is None else preparing.time
        request = messages.request(
            reference, told, str(rootfs), limits, path, places=places, prepared=digest, preparing=preparing
        )
        if worker.is_forked:
            request["environment"] = {} if jailed else dict(os.environ)
        worker.send(request)
        yield worker
        if not jailed:
            worker.remember({**request, "rootfs": os.path.abspath(rootfs)})  # noqa: PTH100  the server is elsewhere


@contextlib.contextmanager
def _for_jail(spec: Spec, rootfs: Path, prepared: Prepared | None) -> Iterator[tuple[Spec, tuple[Place, ...]]]:
    with reduced(spec, rootfs) as (told, places):
        yield told, places if prepared is None else (*places, Place(str(prepared.file), read_only=True))


def _start_limit(limits: Limits, preparing: Bounds | None) -> float | None:
    """Return the seconds within which the guest has to start."""
    if preparing is None:
        return None if limits.time is None else START_LIMIT
    return None if preparing.time is None else preparing.time + _GRACE


@attrs.frozen
class Prepared:
    """A compiled module, for a process without a compile cache.

    Args:
        module: The module's digest.
        file: Its entry in the compile cache, a host path.
    """

    module: str
    file: Path


def _process(
    reference: str,
    channel: socket.socket,
    streams: tuple[int, int, int],
    servers: Servers | OnlyForked | None,
    *,
    jailed: bool,
) -> NewWorker | WarmWorker:
    forked = None if servers is None else servers.fork(reference, channel, streams, jailed=jailed)
    return forked or NewWorker(channel, streams, jailed=jailed)


def _worker(
    engine: str,
    reference: str,
    streams: Streams,
    limits: Limits,
    servers: Servers | OnlyForked | None,
    *,
    jailed: bool = False,
) -> _Worker:
    try:
        return _Worker(engine, reference, streams, limits, servers, jailed=jailed)
    except OSError as error:
        raise EngineError(f"a worker process can't be started: {error.strerror}") from error
    except RuntimeError as error:  # of an interpreter that may not start any
        raise EngineError(
            f"a worker process can't be started: {error}", hint="run the guest from the main interpreter"
        ) from error


class _Worker(ChildProcess):
    """A worker process, the socket to it, and its outputs.

    Attributes:
        start_limit: Seconds until the guest has to have started, compiled as it may have to be.
        compile_limit: Seconds from when the worker says that it begins to compile by itself.
    """

    def __init__(
        self,
        engine: str,
        reference: str,
        streams: Streams,
        limits: Limits,
        servers: Servers | OnlyForked | None,
        *,
        jailed: bool,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._jailed = jailed
        self._streams = streams
        self._limits = limits
        self.start_limit: float | None = None
        self.compile_limit: float | None = None
        self._compiles: float | None = None
        self._decoder = messages.Decoder(messages.MAX_ANSWER)
        self._answer: dict[str, Any] | None = None
        self._started: float | None = None
        self._memory: memory_limit.Watch | None = None
        self._tells = False
        self._status: int | None = None
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.copier)
            self._channel, theirs = socket.socketpair()
            stack.enter_context(self._channel)
            with theirs:
                outputs = self.copier.output(streams.stdout), self.copier.output(streams.stderr)
                self._process = _process(reference, theirs, (streams.stdin, *outputs), servers, jailed=jailed)
            stack.callback(self._process.close)
            self._launched = time.monotonic()
            stack.callback(self._end)
            self.copier.release_child_ends()
            self.copier.watch(self._channel, self._listen)
            self._process.watch(self.copier)
            self._stack = stack.pop_all()

    @property
    def is_forked(self) -> bool:
        """Whether a server has forked it, so that it doesn't have this process's environment."""
        return self._process.is_forked

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        if self._status is None:
            self._status = self._process.end()

    def send(self, request: dict[str, Any]) -> None:
        """Send the request."""
        # A worker that died at once has closed its end: how it died is found out by finish().
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.sendall(messages.encode(request))

    def remember(self, request: dict[str, Any]) -> None:
        """Have the server keep the program, if the worker reports that it had to read it."""
        server = self._process.server
        if server is not None and self._answer is not None and self._answer.get("novel") is True:
            server.remember(request["handler"], json.dumps(request).encode())

    def signal(self, number: int) -> None:
        """See :class:`ChildProcess`."""
        self._process.signal(number)

    @property
    def pid(self) -> int:
        """See :class:`ChildProcess`."""
        return self._process.pid

    def deadline(self) -> float | None:
        """See :class:`ChildProcess`."""
        if self._started is None and self._compiles is not None and self.compile_limit is not None:
            return self._compiles + self.compile_limit
        if self._started is None:
            return None if self.start_limit is None else self._launched + self.start_limit
        return None if self._limits.time is None else self._started + self._limits.time

    def finish(self, *, in_time: bool) -> ExecutionResult:
        """See :class:`ChildProcess`."""
        # An answer is the last thing that a worker has to do; what the guest wrote came before it.
        self._end()
        self.copier.drain()
        return messages.with_output(
            self._ending(in_time=in_time),
            stdout=self._streams.stdout.captured,
            stderr=self._streams.stderr.captured,
            stdout_truncated=self._streams.stdout.truncated,
            stderr_truncated=self._streams.stderr.truncated,
        )

    def _ending(self, *, in_time: bool) -> ExecutionResult:
        limits = self._limits
        duration = time.monotonic() - (self._started or self._launched)
        if self._answer is None and not in_time:
            if self._started is None:
                limit = self.start_limit if self._compiles is None else self.compile_limit
                raise CompileLimitExceeded(
                    f"{self._engine} has not compiled the module and started it within {limit:g} s",
                    limit="time",
                    hint=MORE_TIME,
                )
            return as_result(Outcome.timed_out(limits.time), self._engine, duration)
        exhausted = limits.memory is not None and self._memory is not None and self._memory.saw(limits.memory)
        if self._tells and self._answer is not None:  # the engine knows better what its guest was refused
            exhausted = False
        return WorkerOutcome(
            engine=self._engine,
            answer=self._answer,
            status=self._status or 0,
            duration=duration,
            stderr=self._streams.stderr.captured or b"",
            jailed=self._jailed,
            exhausted=limits.memory if exhausted else None,
        ).result()

    def _listen(self) -> None:
        try:
            data = self._channel.recv(_CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            self.copier.unwatch(self._channel)
            return
        try:
            for message in self._decoder.feed(data):
                self._hear(message)
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise EngineCrashed(f"{self._engine}'s process sent something else than an answer: {error}") from None

    def _hear(self, message: dict[str, Any]) -> None:
        # What is said again counts for nothing: no guest gains time or memory by it.
        if message["event"] == "started":
            if self._started is None:
                self._started = time.monotonic()
                self.begun()
        elif message["event"] == "compiles":
            if self._compiles is None:
                self._compiles = time.monotonic()
        elif message["event"] == "bounded":
            if self._memory is None:
                self._memory = memory_limit.Watch(self._process.pid, int(message["held"]))
                self._tells = message.get("tells") is True
                self.copier.repeat(self._memory.look, memory_limit.INTERVAL)
        elif message["event"] == "warning":
            compiled.warn(str(message["text"]))
        elif self._answer is None:
            self._answer = message
            self.copier.stop()
