"""Defines the interface to a workload in a child process, be it a worker or a native runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from wasmoci.isolation.output_copier import OutputCopier

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.result import ExecutionResult


class ChildProcess(ABC):
    """A running child process. Its caller serves :attr:`copier` until that stops, or until the deadline, and then calls :meth:`finish`.

    Attributes:
        copier: Its outputs, and whatever else there is to listen to.
    """

    def __init__(self) -> None:
        self.copier = OutputCopier()
        self._has_begun = False
        self._on_begin: Callable[[], None] | None = None

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process id of the guest's process, or of the native runtime's."""

    @abstractmethod
    def deadline(self) -> float | None:
        """The deadline, on ``time.monotonic``'s clock; None for none. It may change with each event."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there. May be called from another thread than serves the copier."""

    @abstractmethod
    def finish(self, *, in_time: bool) -> ExecutionResult:
        """End it, and return its result.

        Args:
            in_time: Whether the copier stopped by itself, before the deadline.

        Raises:
            WasmociError: It could not be run.
        """

    def wait(self) -> ExecutionResult:
        """Serve it to its end on this thread; see :meth:`finish`."""
        return self.finish(in_time=self.copier.serve(self.deadline))

    def when_begun(self, function: Callable[[], None]) -> None:
        """Register a function to be called when the guest begins; it is called at once if the guest has begun already."""
        if self._has_begun:
            function()
        else:
            self._on_begin = function

    def begun(self) -> None:
        """Note that the guest begins."""
        self._has_begun = True
        if self._on_begin is not None:
            self._on_begin()
