"""A pool of worker processes, for programs that run many containers."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from wasmoci import signatures
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.opening import opened
from wasmoci.dispatch.request import Request
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation.async_supervisor import supervise
from wasmoci.isolation.handler_import import reference_of
from wasmoci.isolation.semaphore import Semaphore
from wasmoci.isolation.warm_servers import OnlyForked, Servers
from wasmoci.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wasmoci.isolation.child_process import ChildProcess
    from wasmoci.result import ExecutionResult


class WorkerPool:
    """Runs guests in a bounded number of worker processes. A context manager; safe to use from several threads.

    Its workers are forked from the pool's own warm server. Entering the context starts the server and loads its engines; leaving it
    ends the server and any running guests. A run beyond the pool's size waits for a free worker.

    Args:
        size: The maximum number of workers; None for the number of processors that this process may use.
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

    @signatures.method(RunOptions)
    def run(self, options: RunOptions) -> ExecutionResult:
        """Run a bundle or an image to its end in a worker, once one is free; see :func:`wasmoci.run`.

        ``isolation`` is ``process`` or ``jail``, or None for the one that the engine is trusted with. The time limit counts from the
        start of the guest, as ever, and not while it waits for its turn.

        Raises:
            RuntimeError: The pool isn't open.
            WasmociError: As of :func:`wasmoci.run`.
        """
        with self._slots.slot():
            self._check()
            with self._launched(options, self._dispatcher) as running:
                return running.wait()

    @signatures.method(RunOptions)
    async def run_async(self, options: RunOptions) -> ExecutionResult:
        """The same as :meth:`run` in a task of asyncio or trio; see :func:`wasmoci.run_async`.

        Raises:
            RuntimeError: The pool isn't open, or no event loop runs.
            WasmociError: As of :func:`wasmoci.run`.
        """
        async with self._slots.slot_async():
            self._check()
            dispatcher = Dispatcher(self._engines, servers=OnlyForked(self._servers))
            return await supervise(self._launched(options, dispatcher))

    @staticmethod
    @contextlib.contextmanager
    def _launched(options: RunOptions, dispatcher: Dispatcher) -> Iterator[ChildProcess]:
        with opened(options) as bundle, dispatcher.launch(Request.of(options, bundle, options.streams)) as running:
            yield running

    def _check(self) -> None:
        if not self._is_open:
            raise RuntimeError("the pool isn't open; use it as a context manager")
