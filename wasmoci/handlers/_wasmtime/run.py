"""The state of one run, found again by the functions that the engine calls back.

Linkers and engines are shared by many runs, so their functions can't belong to one. wasmtime calls them on the thread that
runs the guest: the innermost run of that thread is the one that is meant.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wasmoci.handlers._wasmtime.memory import MemoryAccount
    from wasmoci.handlers._wasmtime.paths import GuestPaths
    from wasmoci.handlers._wasmtime.writes import GuestOutputs


_SETTLING = 1.0  # seconds; it takes microseconds


class Run:
    """What is known of a guest while it runs.

    Attributes:
        exit_code: What the guest gave to ``proc_exit``, whole; None until then.
        failure: The first exception of the host's in a call-back, to be raised after the run.
        expired: Whether its time is over.
        memory: The account of its memory; None without a limit.
        paths: Where its paths lead, for wasmtime's own WASI.
        outputs: Where its outputs lead, when wasmtime doesn't write to them by itself.
        host: The functions of the WASI host in Python, where that is used instead.
        host_memory: Its view of the guest's memory.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.failure: BaseException | None = None
        self.expired = False
        self.memory: MemoryAccount | None = None
        self.paths: GuestPaths | None = None
        self.outputs: GuestOutputs | None = None
        self.host: Mapping[str, Callable[..., int | None]] = {}
        self.host_memory: Any = None
        self._outputs: list[tuple[weakref.ref[object], threading.Event]] = []

    @property
    def stopped(self) -> bool:
        """Whether the guest is to end now."""
        return self.expired or (self.memory is not None and self.memory.exhausted)

    def fail(self, error: BaseException) -> None:
        """Keep an exception of the host's; the first one is raised after the run."""
        if self.failure is None:
            self.failure = error

    def lend(self, output: object) -> None:
        """Have :meth:`settle` wait for the engine to let go of an output."""
        released = threading.Event()
        self._outputs.append((weakref.ref(output, lambda _: released.set()), released))

    def settle(self) -> None:
        """Wait until no thread of the engine's is going to call back; its store is closed.

        The engine drops an output on a thread of its own, by a call-back. A thread that calls Python while the interpreter
        ends is ended by that, which the engine takes for a panic and aborts the process.
        """
        for _, released in self._outputs:
            released.wait(_SETTLING)

    @contextlib.contextmanager
    def unaccounted(self) -> Iterator[None]:
        """Memory that is made in the meantime is ours, and not of the guest's account."""
        if self.memory is None:
            yield
            return
        self.memory.open = False
        try:
            yield
        finally:
            self.memory.open = True

    @contextlib.contextmanager
    def current(self) -> Iterator[Run]:
        """Make this the run of the thread; of a run within a run (in a function that takes output) the inner one."""
        outer = getattr(_thread, "run", None)
        _thread.run = self
        try:
            yield self
        finally:
            _thread.run = outer


def current_run() -> Run:
    """The innermost run of this thread; there has to be one."""
    run: Run = _thread.run
    return run


_thread = threading.local()
