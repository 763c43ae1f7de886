"""The state of one run, found again by the functions that the engine calls back.

Linkers and engines are shared by many runs, so their functions can't belong to one. wasmtime calls them on the thread that
runs the guest: the innermost run of that thread is the one that is meant.
"""

from __future__ import annotations

import contextlib
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from wasmoci.handlers._wasmtime.memory import MemoryAccount
    from wasmoci.handlers._wasmtime.outputs import Loan
    from wasmoci.handlers._wasmtime.writes import GuestOutputs


class Run:
    """What is known of a guest while it runs; within its context it is the run of this thread.

    Of a run within a run (in a function that takes output) the inner one is.

    Attributes:
        exit_code: What the guest gave to ``proc_exit``, whole; None until then.
        failure: The first exception of the host's in a call-back, to be raised after the run.
        expired: Whether its time is over.
        memory: The account of its memory; None without a limit.
        outputs: Where its outputs lead, when wasmtime doesn't write to them by itself.
        host: The functions of the WASI host in Python, where that is used instead.
        host_memory: Its view of the guest's memory.
        loans: Outputs in the engine's hands, to be taken back after the run.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.failure: BaseException | None = None
        self.expired = False
        self.memory: MemoryAccount | None = None
        self.outputs: GuestOutputs | None = None
        self.host: Mapping[str, Callable[..., int | None]] = {}
        self.host_memory: Any = None
        self.loans: list[Loan] = []
        self._outer: Run | None = None

    def __enter__(self) -> Run:
        self._outer = getattr(_thread, "run", None)
        _thread.run = self
        return self

    def __exit__(self, *_: object) -> None:
        _thread.run = self._outer
        for loan in self.loans:
            loan.end()

    @property
    def stopped(self) -> bool:
        """Whether the guest is to end now."""
        return self.expired or (self.memory is not None and self.memory.exhausted)

    def fail(self, error: BaseException) -> None:
        """Keep an exception of the host's; the first one is raised after the run."""
        if self.failure is None:
            self.failure = error

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


def current_run() -> Run:
    """The innermost run of this thread; there has to be one."""
    run: Run = _thread.run
    return run


def is_running() -> bool:
    """Whether this thread has a run."""
    return getattr(_thread, "run", None) is not None


_thread: Any = threading.local()
