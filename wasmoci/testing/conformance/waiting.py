"""A guest that waits in the middle of its run, so that a test can look around."""

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


class WaitingGuest:
    """A guest that copies its input, on a thread of its own, and waits for more.

    Args:
        given: The writing end of its standard input.
        taken: The reading end of its standard output.
        over: The reading end of a pipe that is closed when it has ended.
        patience: Seconds to wait for a sign of life.
    """

    def __init__(self, given: int, taken: int, over: int, patience: float) -> None:
        self._given = given
        self._taken = taken
        self._over = over
        self._patience = patience

    def answers(self) -> bool:
        """Give it a line, and say whether it comes back while the guest still runs."""
        os.write(self._given, b"a line\n")
        poller = select.poll()
        poller.register(self._taken, select.POLLIN)
        poller.register(self._over, select.POLLHUP)
        ready = {descriptor for descriptor, _ in poller.poll(self._patience * 1000)}
        return self._over not in ready and self._taken in ready and bool(os.read(self._taken, 100))


@contextlib.contextmanager
def waiting(execute: Callable[[Stdio], ExecutionResult], patience: float) -> Iterator[WaitingGuest]:
    """Start a guest that copies its input, and end it by the end of its input when the context ends.

    Args:
        execute: Runs the guest with streams.
        patience: Seconds to wait for its answer.
    """
    errors: list[BaseException] = []
    with contextlib.ExitStack() as stack:
        source, given = os.pipe()
        taken, target = os.pipe()
        over, running = os.pipe()
        for descriptor in (source, taken, target, over):
            stack.callback(os.close, descriptor)

        def body() -> None:
            try:
                execute(Stdio(stdin=source, stdout=target, stderr=Stream.NULL))
            except BaseException as error:  # noqa: BLE001  it is raised again, by the test's thread
                errors.append(error)
            finally:
                os.close(running)

        thread = threading.Thread(target=body, name="conformance-guest", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(os.close, given)
        yield WaitingGuest(given, taken, over, patience)
    if errors:
        raise errors.pop()
