"""Has a worker process validate or compile a module within limits: the caller's side."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from wasmoci.compiled import Key
from wasmoci.errors import CompileLimitExceeded, EngineCrashed, EngineError
from wasmoci.isolation import messages
from wasmoci.isolation.compile_bounds import MORE_TIME
from wasmoci.isolation.cpu_share import Throttle
from wasmoci.isolation.forked_worker import ForkedWorker, is_safe
from wasmoci.isolation.handler_import import reference_of
from wasmoci.isolation.new_worker import NewWorker
from wasmoci.isolation.warm_servers import DEFAULT
from wasmoci.isolation.worker_outcome import FAULTS, signal_name
from wasmoci.wasm.module import ModuleKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import attrs

    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.isolation.compile_bounds import Bounds
    from wasmoci.isolation.warm_worker import WarmWorker
    from wasmoci.limits import Limits
    from wasmoci.wasm.module import Module
else:
    from wasmoci._startup import attrs

_CHUNK = 1 << 16
_LONGEST = 3600.0  # seconds to wait at once
_TAIL = 2000  # bytes of what the process wrote to its standard error
_REFUSED = ("memory allocation of", "Cannot allocate memory", "os error 12", "MemoryError", "start new thread")
"""How compilers say that they were refused memory, before they end themselves."""
_MORE_MEMORY = (
    "where the module is to be trusted with more, give it more memory (WASMOCI_COMPILE_MEMORY, or compile_memory in the"
    " configuration file); what is to run with less is compiled beforehand: wasmoci cache warm"
)


def perform(
    task: str, handler: EngineHandler, module: Module, limits: Limits, bounds: Bounds, *, jailed: bool
) -> list[tuple[Key, bytes]]:
    """Run a task for a module in a worker process.

    Args:
        task: ``validate`` or ``precompile``.
        handler: The engine; its class has to be importable, and to be made without arguments.
        module: The module.
        limits: Limits of the kinds that its runs are to have.
        bounds: What the worker may use.
        jailed: Whether the worker gives up every right before it touches the module, as an engine has to that is no sandbox.

    Returns:
        What the engine has made of the module, to be kept. What a jailed worker has made is as much to be trusted as the module.

    Raises:
        CompileLimitExceeded: It took more than it may.
        EngineCrashed: The worker died of it.
        WasmociError: The engine can't run the module, or the module is damaged.
    """
    reference = reference_of(handler)
    path = [entry for entry in sys.path if isinstance(entry, str)]
    request = messages.task_request(task, reference, module, limits, bounds, path=path, jailed=jailed)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_file_in_memory(name)) for name in ("module", "made", "errors")]
        _write(files[0], module.data)
        try:
            worker = stack.enter_context(_Worker(handler.name, reference, files, bounds, jailed=jailed))
        except OSError as error:
            raise EngineError(f"a worker process can't be started: {error.strerror}") from error
        answer = worker.ask(request)
        return _made(files[1], worker.judge(answer, module, files[2]), handler, module, jailed=jailed)


@contextlib.contextmanager
def _file_in_memory(name: str) -> Iterator[int]:
    descriptor = os.memfd_create(f"wasmoci-{name}", os.MFD_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    rest, place = memoryview(data), 0
    while rest:
        count = os.pwrite(descriptor, rest, place)
        rest, place = rest[count:], place + count


def _process(
    reference: str, channel: socket.socket, streams: tuple[int, int, int], *, jailed: bool
) -> NewWorker | WarmWorker | ForkedWorker:
    """Start the cheapest suitable process; one for the jail has never shared memory with this one."""
    if not jailed and is_safe():
        with contextlib.suppress(RuntimeError):  # in a sub-interpreter
            return ForkedWorker(reference, channel, streams)
    return DEFAULT.fork(reference, channel, streams, jailed=jailed) or NewWorker(channel, streams, jailed=jailed)


class _Worker:
    """A worker process with one task. A context manager, which ends it."""

    def __init__(self, engine: str, reference: str, files: list[int], bounds: Bounds, *, jailed: bool) -> None:
        self._engine = engine
        self._bounds = bounds
        self._deadline = None if bounds.time is None else time.monotonic() + bounds.time
        self._status: int | None = None
        self._in_time = True
        stdin, stdout, stderr = files
        self._channel, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _process(reference, theirs, (stdin, stdout, stderr), jailed=jailed)
        except BaseException:
            self._channel.close()
            raise

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._process.close()
        self._channel.close()

    def _end(self) -> None:
        if self._status is None:
            self._status = self._process.end()

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Send the request, wait for the answer within the limits, and end the process.

        Returns:
            None where it gave none.

        Raises:
            EngineCrashed: It sent something else than an answer.
        """
        group = self._bounds.group
        if group is not None:
            rest = group.join(self._process.pid)
            memory = min((most for most in (self._bounds.memory, rest.memory) if most is not None), default=None)
            self._bounds = attrs.evolve(self._bounds, memory=memory, processors=rest.processors)
            request["bounds"].update(memory=memory, processors=rest.processors)
        if self._process.is_forked:
            request["environment"] = {} if request["jailed"] else dict(os.environ)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # how it died is found out
            self._channel.sendall(messages.encode(request))
        try:
            return self._wait()
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise EngineCrashed(f"{self._engine}'s process sent something else than an answer: {error}") from None
        finally:
            self._end()

    def _wait(self) -> dict[str, Any] | None:
        decoder = messages.Decoder(messages.MAX_ANSWER)
        share = self._bounds.processors
        throttle = None
        if share is not None:
            throttle = Throttle(self._process, share)
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        while True:
            rest = _LONGEST if self._deadline is None else self._deadline - time.monotonic()
            if rest <= 0:
                self._in_time = False
                return None
            pause = min(rest, _LONGEST) if throttle is None else min(rest, throttle.turn())
            if not poller.poll(1000 * pause + 1):
                continue
            try:
                data = self._channel.recv(_CHUNK)
            except ConnectionResetError:
                return None
            if not data:
                return None
            for message in decoder.feed(data):
                if message["event"] != "warning":
                    return message

    def judge(self, answer: dict[str, Any] | None, module: Module, errors: int) -> list[Any]:
        """Return the result in an answer, or raise its error.

        Args:
            answer: The answer; None where there was none.
            module: The module.
            errors: What the process has written to its standard error.

        Raises:
            WasmociError: See :func:`perform`.
        """
        tail = os.pread(errors, _TAIL, max(0, os.fstat(errors).st_size - _TAIL)).decode("utf-8", "replace")
        if answer is None:
            raise self._death(module, tail)
        try:
            if answer["event"] == "done":
                made: list[Any] = answer["made"]
                return made
            if answer["event"] == "error":
                error = messages.error_of(answer)
                raise self._out_of_memory(module, self._bounds.memory) if self._was_refused(str(error)) else error
            trace = str(answer["traceback"])
        except (LookupError, TypeError, ValueError, OverflowError) as problem:
            raise EngineCrashed(f"{self._engine}'s process gave an answer that makes no sense: {problem}") from None
        last = trace.strip().splitlines()[-1]
        if self._was_refused(last):
            raise self._out_of_memory(module, self._bounds.memory)
        raise EngineCrashed(f"the handler of {self._engine} failed over {module.source}: {last}", stderr=trace)

    def _death(self, module: Module, tail: str) -> CompileLimitExceeded | EngineCrashed:
        bounds, status = self._bounds, self._status or 0
        if not self._in_time or status == -signal.SIGXCPU:
            return CompileLimitExceeded(
                f"{module.source}: {self._engine} has not compiled it within {round((bounds.time or 0) + bounds.spent, 1):g} s",
                limit="time",
                hint=MORE_TIME,
            )
        group = bounds.group
        if group is not None and status == -signal.SIGKILL and group.ran_out():
            return self._out_of_memory(module, group.memory)
        if self._was_refused(tail):
            return self._out_of_memory(module, self._bounds.memory)
        if status >= 0:
            return EngineCrashed(
                f"{module.source}: {self._engine} ended with status {status} while it compiled the module", stderr=tail
            )
        verb = "crashed on the module with" if -status in FAULTS else "was ended while it compiled the module, by"
        message = f"{module.source}: the engine {self._engine} {verb} {signal_name(-status)}"
        return EngineCrashed(message, signal=-status, stderr=tail)

    def _was_refused(self, text: str) -> bool:
        bounded = self._bounds.memory is not None or self._bounds.group is not None
        return bounded and any(words in text for words in _REFUSED)

    def _out_of_memory(self, module: Module, memory: int | None) -> CompileLimitExceeded:
        limit = "" if memory is None else f" of {memory} bytes"
        return CompileLimitExceeded(
            f"{module.source}: {self._engine} was refused memory by the limit{limit} while it compiled the module",
            limit="memory",
            hint=_MORE_MEMORY,
        )


def _made(
    descriptor: int, made: list[Any], handler: EngineHandler, module: Module, *, jailed: bool
) -> list[tuple[Key, bytes]]:
    """Check and return what a worker has compiled; results for other modules or engines are refused."""
    found, place = [], 0
    is_text = module.kind is ModuleKind.TEXT
    try:
        length = os.fstat(descriptor).st_size
        for digest, engine, version, configuration, size in made:
            key = Key(*(_text(word) for word in (digest, engine, version, configuration)))
            is_own = key.module == module.digest
            if not (is_own or is_text) or key.engine != handler.name or not 0 <= size <= length - place:
                raise ValueError(f"{key}")  # noqa: TRY301
            # Of a text what is assembled of it is compiled, and kept for whoever brings that as a module. A jailed worker isn't
            # to be believed so far: it may have been taken over by the text.
            if is_own or not jailed:
                found.append((key, os.pread(descriptor, size, place)))
            place += size
    except (TypeError, ValueError, OverflowError, OSError) as problem:
        raise EngineCrashed(f"{handler.name}'s process gave an answer that makes no sense: {problem}") from None
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where a string was expected")
    return value
