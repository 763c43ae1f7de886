"""Holds the state of one run, where the functions that the engine calls back can find it.

Linkers and engines are shared by many runs, so their functions can't belong to one. The engine tells each of them whose store it is
that calls, and a store belongs to one run: so it doesn't matter on which thread, or in which greenlet, a call comes.
"""

from __future__ import annotations

import contextlib
import os
from _thread import get_native_id

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers import wasi_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from wasmoci.handlers._wasmtime.deferred_signals import DeferredSignals
    from wasmoci.handlers._wasmtime.memory_account import MemoryAccount


class Run:
    """The state of a guest while it runs. A context manager, which ends the engine's use of its outputs.

    Attributes:
        context: The store's context.
        exit_code: What the guest gave to ``proc_exit``, whole; None until then.
        reason: Why a call-back has ended the guest, in the words for its trap; None until one has.
        failure: The first exception of the host's in a call-back, to be raised after the run. From then on each call ends the guest.
        expired: Whether its time is over.
        signals: What defers the signals of the main thread; None where the guest runs on another one, or doesn't have to be stoppable.
        memory: The account of its memory; None without a limit.
        host: The functions of WASI that are answered in Python, by name.
        host_memory: The view of the guest's memory that the WASI host in Python has.
        take_back: What is to be called after the run, to take back what was lent to the engine.
    """

    def __init__(self) -> None:
        self.context = 0
        self.exit_code: int | None = None
        self.reason: str | None = None
        self.failure: BaseException | None = None
        self.expired = False
        self.signals: DeferredSignals | None = None
        self.memory: MemoryAccount | None = None
        self.host: Mapping[str, Callable[..., int | None]] = {}
        self.host_memory: Any = None
        self.take_back: list[Callable[[], None]] = []

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        for call in self.take_back:
            call()
        self.failure = None  # whose frames hold this

    def belong_to(self, context: int) -> None:
        """Be the run that the call-backs of a store find by its context, until :meth:`leave`, which comes before the store's end."""
        self.context = context
        runs[context] = self

    def leave(self) -> None:
        """Undo :meth:`belong_to`."""
        del runs[self.context]

    @property
    def stopped(self) -> bool:
        """Whether the guest has to end now."""
        return self.expired or self.failure is not None or (self.memory is not None and self.memory.exhausted)

    def fail(self, error: BaseException) -> None:
        """Record an exception of the host; the first one is raised after the run."""
        if self.failure is None:
            self.failure = error

    def instantiating(self, *, accounted: bool = True) -> AbstractContextManager[None]:
        """What the calling thread instantiates in the meantime has its memory from this run: of that alone the engine tells no store.

        Args:
            accounted: Whether it is the guest's, and counts for its limit.
        """
        return _NOTHING if self.memory is None else self._instantiating(self.memory, accounted=accounted)

    @contextlib.contextmanager
    def _instantiating(self, memory: MemoryAccount, *, accounted: bool) -> Iterator[None]:
        thread = get_native_id()  # the system's, of which no greenlet has one of its own
        outer = instantiated.get(thread)
        instantiated[thread] = self
        before, memory.open = memory.open, accounted
        try:
            yield
        finally:
            memory.open = before
            if outer is None:
                del instantiated[thread]
            else:
                instantiated[thread] = outer


_NOTHING = contextlib.nullcontext()

runs: dict[int, Run] = {}
"""The runs by the contexts of their stores."""

instantiated: dict[int, Run] = {}
"""Those that instantiate something by themselves now, with a limit of memory, by the system's id of their thread."""


def _forked() -> None:
    """In a process that was forked within a call of a guest: the guest has one there as well, and nobody meant that."""
    for run in runs.values():
        run.fail(wasi_host.forked())


os.register_at_fork(after_in_child=_forked)
