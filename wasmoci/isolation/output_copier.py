"""Copies a child process's output into sinks, and watches its deadline."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from types import TracebackType

    from wasmoci.stdio import Sink

_CHUNK = 1 << 16
_LONGEST = 3600.0  # seconds to wait at once; the system's own calls can't take every number
_DRAIN_ROUNDS = 32  # a pipe and a socket hold less than so many chunks


class OutputCopier:
    """Copies the outputs of one child process on the calling thread. A context manager, which closes what it opened."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._child_ends: list[int] = []
        self._selector = self._stack.enter_context(selectors.EpollSelector())
        self._stopped = False
        self._repeated: Callable[[], None] | None = None
        self._interval = 0.0

    def __enter__(self) -> OutputCopier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release_child_ends()
        self._stack.close()

    def output(self, sink: Sink) -> int:
        """Return the descriptor for the child to write to: the sink's own, or a pipe that is copied into it."""
        if sink.descriptor is not None:
            return sink.descriptor
        ours, theirs = os.pipe()
        self._stack.callback(os.close, ours)
        self._child_ends.append(theirs)

        def read() -> None:
            data = os.read(ours, _CHUNK)
            if data:
                sink.write(data)
            else:
                self.unwatch(ours)

        self.watch(ours, read)
        return theirs

    def release_child_ends(self) -> None:
        """Close the child's ends of the pipes; to be called once the child has them."""
        while self._child_ends:
            os.close(self._child_ends.pop())

    def watch(self, file: Any, ready: Callable[[], None]) -> None:
        """Call a function whenever a file is readable, until :meth:`unwatch`."""
        self._selector.register(file, selectors.EVENT_READ, ready)

    def unwatch(self, file: Any) -> None:
        """Forget a file."""
        self._selector.unregister(file)

    def repeat(self, function: Callable[[], None], interval: float) -> None:
        """Have :meth:`serve` also call a function at an interval in seconds."""
        self._repeated, self._interval = function, interval

    def serve(self, deadline: Callable[[], float | None]) -> bool:
        """Serve until :meth:`stop` is called, or nothing is left to watch.

        Args:
            deadline: When to give up, on ``time.monotonic``'s clock; None for never. Asked again after each event.

        Returns:
            Whether it came to its end; False when the deadline passed.
        """
        while not self.is_over:
            seconds = self.seconds_until(deadline())
            if seconds <= 0:
                return False
            self.dispatch(seconds)
        return True

    def fileno(self) -> int:
        """Return a descriptor that is readable when :meth:`dispatch` has something to do."""
        return self._selector.fileno()

    @property
    def is_over(self) -> bool:
        """Whether :meth:`serve` would return."""
        return self._stopped or not self._selector.get_map()

    def seconds_until(self, end: float | None) -> float:
        """Return the maximum time to wait for events, in seconds; at most 0 when the deadline has passed."""
        if self._repeated is not None:
            self._repeated()
        longest = _LONGEST if self._repeated is None else self._interval
        return longest if end is None else min(end - time.monotonic(), longest)

    def dispatch(self, timeout: float) -> None:
        """Wait for events, and serve them.

        Args:
            timeout: Seconds to wait for the first.
        """
        for key, _ in self._selector.select(timeout):
            key.data()

    def stop(self) -> None:
        """End :meth:`serve` after the current events."""
        self._stopped = True

    def stop_at_end_of(self, process: subprocess.Popen[bytes]) -> None:
        """End :meth:`serve` when a process ends, even if other processes keep its outputs open."""
        descriptor = os.pidfd_open(process.pid)
        self._stack.callback(os.close, descriptor)
        self.stop_at_end(descriptor)

    def stop_at_end(self, descriptor: int) -> None:
        """The same for a process given by a process descriptor, which stays open."""

        def ended() -> None:
            self.unwatch(descriptor)
            self.stop()

        self.watch(descriptor, ended)

    def drain(self) -> None:
        """Copy the remaining output of a child that has ended."""
        for _ in range(_DRAIN_ROUNDS):
            events = self._selector.select(0)
            if not events:
                break
            for key, _ in events:
                key.data()
