"""Supervises a guest on a thread: starts it, reads its outputs, enforces its limits, and notifies waiting callers."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import attrs

from wasmoci.isolation.line_buffer import LineBuffers
from wasmoci.stdio import CAPTURE_LIMIT, Stdio

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from wasmoci.isolation.child_process import ChildProcess
    from wasmoci.isolation.guest_files import SharedFiles
    from wasmoci.isolation.line_buffer import StreamName
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Source


@attrs.frozen
class Launched:
    """A guest that has been started.

    Args:
        running: Its process.
        places: Its files.
    """

    running: ChildProcess
    files: SharedFiles


class Supervisor:
    """What is known of one guest. A process dies with the thread that has started it, so the thread stays as long.

    Args:
        launch: Starts the guest with the streams that it is given, for as long as the context lasts.

    Attributes:
        news: To be held while anything else is looked at; notified of each change.
        outputs: What the guest has written.
        launched: The guest, once its process is there.
        has_begun: Whether its entry function was called.
        is_over: Whether nothing of it is left.
        result: How it ended; None also when that is an error.
        error: Why it could not be run.
    """

    def __init__(self, launch: Callable[[Stdio], AbstractContextManager[Launched]]) -> None:
        self._launch = launch
        self._given_up = False
        self._thread: threading.Thread | None = None
        self.news = threading.Condition()
        self.outputs = LineBuffers(CAPTURE_LIMIT)
        self.launched: Launched | None = None
        self.has_begun = False
        self.is_over = False
        self.result: ExecutionResult | None = None
        self.error: BaseException | None = None

    def start(self, stdin: Source, on_launch: Callable[[], None]) -> None:
        """Start the guest, and return once it has begun, or can't.

        Args:
            stdin: What it reads.
            on_launch: Called, on the thread, when its process is there, or there will be none.
        """
        thread = threading.Thread(target=self._run, args=(stdin, on_launch), name="wasmoci-start", daemon=True)
        thread.start()
        self._thread = thread
        with self.news:
            self.news.wait_for(lambda: self.has_begun or self.is_over)

    def end(self) -> None:
        """Kill the guest, if it runs, and wait until everything is cleaned up."""
        with self.news:
            self._given_up = True
        self.signal(signal.SIGKILL)
        if self._thread is not None:
            self._thread.join()

    def signal(self, number: int) -> None:
        """Send the guest's process a signal; one that has ended doesn't get it."""
        with self.news:
            launched = None if self.is_over else self.launched
        if launched is not None:
            launched.running.signal(number)

    def _run(self, stdin: Source, on_launch: Callable[[], None]) -> None:
        stdio = Stdio(
            stdin=stdin,
            stdout=lambda data: self._take("stdout", data),
            stderr=lambda data: self._take("stderr", data),
        )
        try:
            with self._launch(stdio) as launched:
                on_launch()
                with self.news:
                    self.launched = launched
                    given_up = self._given_up
                if not given_up:
                    launched.running.when_begun(self._begin)
                    self._keep(launched.running.wait())
        except BaseException as error:  # noqa: BLE001  it is raised again, on the thread that waits
            self.error = error
        finally:
            on_launch()
            self._finish()

    def _take(self, stream: StreamName, data: bytes) -> None:
        with self.news:
            self.outputs.write(stream, data)
            self.news.notify_all()

    def _begin(self) -> None:
        with self.news:
            self.has_begun = True
            self.news.notify_all()

    def _keep(self, result: ExecutionResult) -> None:
        stdout, stderr = self.outputs.stdout, self.outputs.stderr
        self.result = attrs.evolve(
            result,
            stdout=stdout.kept,
            stderr=stderr.kept,
            stdout_truncated=stdout.truncated,
            stderr_truncated=stderr.truncated,
        )

    def _finish(self) -> None:
        with self.news:
            self.outputs.end()
            self.is_over = True
            self.news.notify_all()
