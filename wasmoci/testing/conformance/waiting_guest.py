"""Runs a guest that waits in the middle of its run, so that a test can inspect the process."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from typing import TYPE_CHECKING

from wasmoci.stdio import Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wasmoci.result import ExecutionResult


class Aside:
    """Runs a function on a thread of its own, so that a handler that hangs doesn't hang the tests.

    Args:
        function: Called at once. Its exception is raised again by :meth:`ended`.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="conformance-aside", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:  # noqa: BLE001  it is raised again, by the test's thread
            self._errors.append(error)

    def ended(self, timeout: float | None = None) -> bool:
        """Wait for its end, for at most some seconds, and return whether it has ended."""
        self._thread.join(timeout)
        if self._errors:
            raise self._errors.pop()
        return not self._thread.is_alive()


class WaitingGuest:
    """A guest on a thread of its own that copies its input, and waits for more.

    Args:
        given: The write end of its standard input.
        taken: The read end of its standard output.
        over: The read end of a pipe that is closed when it has ended.
        patience: Seconds to wait for a response.
    """

    def __init__(self, given: int, taken: int, over: int, patience: float) -> None:
        self._given = given
        self._taken = taken
        self._over = over
        self._patience = patience

    def answers(self) -> bool:
        """Send it a line, and return whether it comes back while the guest still runs."""
        os.write(self._given, b"a line\n")
        poller = select.poll()
        poller.register(self._taken, select.POLLIN)
        poller.register(self._over, select.POLLHUP)
        ready = {descriptor for descriptor, _ in poller.poll(self._patience * 1000)}
        return self._over not in ready and self._taken in ready and bool(os.read(self._taken, 100))


@contextlib.contextmanager
def waiting(execute: Callable[[Stdio], ExecutionResult], patience: float) -> Iterator[WaitingGuest]:
    """Start a guest that copies its input, and close its input when the context ends.

    Args:
        execute: Runs the guest with streams.
        patience: Seconds to wait for its response.
    """
    with contextlib.ExitStack() as stack:
        source, given = os.pipe()
        taken, target = os.pipe()
        over, running = os.pipe()
        for descriptor in (source, taken, target, over):
            stack.callback(os.close, descriptor)

        def body() -> None:
            try:
                execute(Stdio(stdin=source, stdout=target, stderr=Stream.NULL))
            finally:
                os.close(running)

        stack.callback(Aside(body).ended)
        stack.callback(os.close, given)
        yield WaitingGuest(given, taken, over, patience)
