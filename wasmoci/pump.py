"""Moves what a child process writes into sinks, and watches the clock meanwhile."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from wasmoci.stdio import Sink

_CHUNK = 1 << 16


class Pump:
    """The outputs of one child process, served on the calling thread. A context manager that closes what it opened."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._child_ends: list[int] = []
        self._selector = self._stack.enter_context(selectors.DefaultSelector())

    def __enter__(self) -> Pump:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release_child_ends()
        self._stack.close()

    def output(self, sink: Sink) -> int:
        """The descriptor that the child is to write to: the sink's own, or a pipe that is read into it."""
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
        """Call a function whenever a file can be read, until :meth:`unwatch`."""
        self._selector.register(file, selectors.EVENT_READ, ready)

    def unwatch(self, file: Any) -> None:
        """Forget a file."""
        self._selector.unregister(file)

    def serve(self, deadline: Callable[[], float | None]) -> bool:
        """Serve until nothing is left to watch.

        Args:
            deadline: When to give up, on ``time.monotonic``'s clock; None for never. Asked again after each event.

        Returns:
            Whether everything came to its end; False when the deadline passed.
        """
        while self._selector.get_map():
            end = deadline()
            remaining = None if end is None else end - time.monotonic()
            if remaining is not None and remaining <= 0:
                return False
            for key, _ in self._selector.select(remaining):
                key.data()
        return True

    def drain(self) -> None:
        """Serve what a child that was killed had still written."""
        self.serve(lambda: None)
