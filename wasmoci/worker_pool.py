"""A pool of worker processes, for programs that run many containers."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.opening import asks_for_wasm, opened
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation import Isolation
from wasmoci.isolation.async_supervisor import supervise
from wasmoci.isolation.handler_import import reference_of
from wasmoci.isolation.semaphore import Semaphore
from wasmoci.isolation.warm_servers import OnlyForked, Servers
from wasmoci.limits import Limits
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wasmoci.dispatch.opening import Environment
    from wasmoci.isolation.child_process import ChildProcess
    from wasmoci.oci.bundle import Bundle
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Source


class WorkerPool:
    """Runs guests in a bounded number of worker processes. A context manager; safe to use from several threads.

    Its workers are forked from a warm server of the pool's own, which is started, with its engines loaded, at the beginning of
    the context, and gone at its end, with any guest that still runs. A run beyond the pool's size waits for its turn.

    Args:
        size: Workers at a time; None for one for each processor that this process may use.
        engines: The engines to load, and to choose from where none is named; None for the user's settings, each loaded when it
            is first used.

    Raises:
        TypeError: The size isn't an integer.
        ValueError: It is less than 1.
    """

    def __init__(self, size: int | None = None, *, engines: Sequence[str] | None = None) -> None:
        self.size = len(os.sched_getaffinity(0)) if size is None else size
        if not isinstance(self.size, int):
            raise TypeError(f"size is {size!r}; an integer was expected, or None for one worker a processor")
        if self.size < 1:
            raise ValueError(f"size is {size!r}; expected 1 or more, or None for one worker a processor")
        self._engines = engines
        self._slots = Semaphore(self.size)
        self._servers = Servers(eager=True)
        self._dispatcher = Dispatcher(engines, servers=self._servers)
        self._is_open = False

    def __enter__(self) -> WorkerPool:
        handlers = [self._dispatcher.registry.load(name) for name in self._engines or ()]
        for jailed in (False, True):
            references = [
                reference_of(handler)
                for handler in handlers
                if (Capability.SANDBOXED not in handler.capabilities) is jailed
            ]
            if references or not jailed:
                self._servers.warm_up(references, jailed=jailed)
        self._is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self._servers.close()

    def run(
        self,
        bundle: str | os.PathLike[str] | Bundle,
        *,
        engine: str | None = None,
        args: Sequence[str] | None = None,
        env: Environment | None = None,
        volumes: Iterable[str] = (),
        cwd: str | None = None,
        read_only: bool | None = None,
        stdin: Source = b"",
        stdio: Stdio | None = None,
        timeout: float | None = None,
        memory: int | None = None,
        fuel: int | None = None,
        isolation: Isolation | str | None = None,
        platform: str | None = None,
        native: bool = False,
    ) -> ExecutionResult:
        """Run a bundle or an image to its end in a worker, once it is its turn; the arguments are those of :func:`wasmoci.run`.

        The time limit counts from the start of the guest, as ever, and not while it waits for its turn.

        Raises:
            RuntimeError: The pool isn't open.
            WasmociError: As of :func:`wasmoci.run`.
        """
        with self._slots.slot():
            self._check()
            with (
                opened(
                    bundle,
                    args=args,
                    env=env,
                    volumes=volumes,
                    cwd=cwd,
                    read_only=read_only,
                    image=lambda: {"platform": platform},
                ) as loaded,
                self._dispatcher.launch(
                    loaded,
                    engine=engine,
                    stdio=Stdio.capture(stdin) if stdio is None else stdio,
                    limits=Limits(time=timeout, memory=memory, fuel=fuel),
                    isolation=None if isolation is None else Isolation(isolation),
                    wasm=asks_for_wasm(platform) or None,
                    native=native,
                ) as running,
            ):
                return running.wait()

    async def run_async(
        self,
        bundle: str | os.PathLike[str] | Bundle,
        *,
        engine: str | None = None,
        args: Sequence[str] | None = None,
        env: Environment | None = None,
        volumes: Iterable[str] = (),
        cwd: str | None = None,
        read_only: bool | None = None,
        stdin: Source = b"",
        stdio: Stdio | None = None,
        timeout: float | None = None,
        memory: int | None = None,
        fuel: int | None = None,
        isolation: Isolation | str | None = None,
        platform: str | None = None,
        native: bool = False,
    ) -> ExecutionResult:
        """The same as :meth:`run` in a task of asyncio or trio; see :func:`wasmoci.run_async`.

        Raises:
            RuntimeError: The pool isn't open, or no event loop runs.
            WasmociError: As of :func:`wasmoci.run`.
        """

        @contextlib.contextmanager
        def launch() -> Iterator[ChildProcess]:
            with (
                opened(
                    bundle,
                    args=args,
                    env=env,
                    volumes=volumes,
                    cwd=cwd,
                    read_only=read_only,
                    image=lambda: {"platform": platform},
                ) as loaded,
                Dispatcher(self._engines, servers=OnlyForked(self._servers)).launch(
                    loaded,
                    engine=engine,
                    stdio=Stdio.capture(stdin) if stdio is None else stdio,
                    limits=Limits(time=timeout, memory=memory, fuel=fuel),
                    isolation=None if isolation is None else Isolation(isolation),
                    wasm=asks_for_wasm(platform) or None,
                    native=native,
                ) as running,
            ):
                yield running

        async with self._slots.slot_async():
            self._check()
            return await supervise(launch())

    def _check(self) -> None:
        if not self._is_open:
            raise RuntimeError("the pool isn't open; use it as a context manager")
