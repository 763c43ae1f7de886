"""Controls a guest that runs in the background: the object that ``wasmoci.start`` returns."""

from __future__ import annotations

import re
import signal
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from wasmoci.isolation.guest_input import GuestInput
from wasmoci.isolation.supervisor import Supervisor
from wasmoci.result import GuestNotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from wasmoci.isolation.line_buffer import StreamName
    from wasmoci.isolation.supervisor import Launched
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Source, Stdio

_T = TypeVar("_T")

TIMEOUT = 30.0
"""Seconds that something in a guest is waited for, unless the caller says otherwise."""

GRACE = 5.0
"""Seconds that a guest has to end after a signal, before it is killed."""

_LOOK = 0.01  # seconds from one look for a file to the next
_TAIL = 2000  # characters of each output that an error message quotes


class RunningGuest:
    """A guest in a process of its own. A context manager, which starts it and ends it.

    Made by :func:`wasmoci.start`. Can be used from several threads. Output is read all the time, so that the guest never waits
    for its reader; of each stream the first 16 MiB are kept for the result, and as much of the lines that nobody has read.

    Args:
        launch: Starts the guest with the streams that it is given, for as long as the context lasts. Called on another thread.
        stdin: What it reads; None for a pipe that :meth:`write` writes to.
    """

    def __init__(self, launch: Callable[[Stdio], AbstractContextManager[Launched]], *, stdin: Source | None) -> None:
        self._supervisor = Supervisor(launch)
        self._news = self._supervisor.news
        self._source = stdin
        self._input: GuestInput | None = None
        self._told = False

    def __enter__(self) -> RunningGuest:
        supervisor = self._supervisor
        try:
            if self._source is None:
                self._input = GuestInput()
                supervisor.start(self._input.read_end, self._input.release)
            else:
                supervisor.start(self._source, lambda: None)
        except BaseException:
            self._end()
            raise
        if not supervisor.has_begun and supervisor.error is not None:
            self._end()
            self._raise_error()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._end()
        if kind is None and not self._told:
            self._raise_error()

    @property
    def pid(self) -> int:
        """The process that runs the guest; for a native workload the runtime's.

        Raises:
            ValueError: The guest isn't started.
        """
        return self._launched().running.pid

    @property
    def stdout(self) -> bytes:
        """The standard output so far; only its beginning if it is very long."""
        with self._news:
            return self._supervisor.outputs.stdout.kept

    @property
    def stderr(self) -> bytes:
        """The standard error so far; only its beginning if it is very long."""
        with self._news:
            return self._supervisor.outputs.stderr.kept

    def wait_for_line(
        self, pattern: str | re.Pattern[str], *, timeout: float = TIMEOUT, stream: StreamName | None = None
    ) -> re.Match[str]:
        """Wait for a line of output that contains a text, or that a regular expression matches.

        Lines are read once: the search begins behind the line that was read last, and what comes before the one that is found
        is passed over. A line is complete with its newline, or with the guest's end.

        Args:
            pattern: A text, or a compiled regular expression.
            timeout: Seconds to wait.
            stream: ``stdout`` or ``stderr``; None for both.

        Returns:
            The match; its ``string`` is the whole line.

        Raises:
            GuestNotReady: The guest ended without it, or the time is over.
        """
        __tracebackhide__ = True  # for pytest: the message says it all
        expression = re.compile(re.escape(pattern)) if isinstance(pattern, str) else pattern

        def look() -> re.Match[str] | None:
            while (line := self._supervisor.outputs.take(stream)) is not None:
                if found := expression.search(line):
                    return found
            return None

        wanted = pattern if isinstance(pattern, str) else pattern.pattern
        return self._wait(look, f"a line with {wanted!r}", timeout)

    def lines(self, stream: StreamName | None = "stdout", *, timeout: float | None = None) -> Iterator[str]:
        """Read lines as they come, until the guest's end; each is read once, here or by :meth:`wait_for_line`.

        Args:
            stream: ``stdout`` or ``stderr``; None for both, in the order in which they came.
            timeout: Seconds to wait for each; None for as long as it takes.

        Raises:
            GuestNotReady: No line came in time.
        """

        def look() -> tuple[str | None] | None:
            line = self._supervisor.outputs.take(stream)
            return None if line is None and not self._supervisor.is_over else (line,)

        while (line := self._wait(look, "another line", timeout)[0]) is not None:
            yield line

    def wait_for_file(self, path: str, *, timeout: float = TIMEOUT) -> None:
        """Wait until a file of any kind exists in the guest's root file system or in its bind mounts.

        Args:
            path: An absolute guest path.
            timeout: Seconds to wait.

        Raises:
            GuestNotReady: The guest ended without it, or the time is over.
            UnsupportedWorkload: It can't be seen from outside, as in a tmpfs.
        """
        __tracebackhide__ = True  # for pytest: the message says it all
        places = self._launched().files
        places.check(path)
        self._wait(lambda: places.exist(path) or None, f"the file {path}", timeout, interval=_LOOK)

    def wait_for_time(self, seconds: float) -> None:
        """Check that the guest continues to run for a number of seconds.

        Raises:
            GuestNotReady: It ended before.
        """
        __tracebackhide__ = True  # for pytest: the message says it all
        end = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= end or None, f"{seconds:g} s", seconds + TIMEOUT, interval=seconds)

    def write(self, data: bytes | str, *, timeout: float = TIMEOUT) -> None:
        """Write to the guest's standard input, all bytes; a text as UTF-8.

        Args:
            data: What it is to read.
            timeout: Seconds to wait for a guest that doesn't read.

        Raises:
            GuestNotReady: The guest has ended, or the time is over.
            ValueError: The input is closed, or isn't this handle's.
        """
        if self._input is None:
            raise ValueError("the guest's input was given at the start")
        problem = self._input.write(data.encode() if isinstance(data, str) else data, timeout)
        if problem:
            raise self._in_vain("the reading of its input", problem)

    def close_stdin(self) -> None:
        """End the input: the guest reads its end once it has read the rest."""
        if self._input is not None:
            self._input.close()

    def send_signal(self, number: int) -> None:
        """Send the guest's process a signal; one that has ended doesn't get it.

        A Wasm guest has no handlers of its own: whatever would end a process by default ends it, as ``SIGNALED`` with 128 + n.
        """
        self._supervisor.signal(number)

    def stop(self, number: int = signal.SIGTERM, *, grace: float = GRACE) -> ExecutionResult:
        """Stop the guest by a signal, and by SIGKILL if it continues.

        Args:
            number: The signal.
            grace: Seconds that it has to end.

        Returns:
            How it ended: ``SIGNALED`` with 128 + n, unless it ended by itself.

        Raises:
            WasmociError: As :meth:`wait`.
        """
        self.send_signal(number)
        with self._news:
            ended = self._news.wait_for(lambda: self._supervisor.is_over, min(grace, threading.TIMEOUT_MAX))
        if not ended:
            self.send_signal(signal.SIGKILL)
        return self.wait()

    def poll(self) -> ExecutionResult | None:
        """Return the result of a guest that has ended; None while it runs.

        Raises:
            WasmociError: As :meth:`wait`.
        """
        with self._news:
            if not self._supervisor.is_over:
                return None
        return self.wait()

    def wait(self, timeout: float | None = None) -> ExecutionResult:
        """Wait for the guest's end.

        Args:
            timeout: Seconds to wait; None for as long as it takes. The guest goes on when they are over.

        Raises:
            GuestNotReady: The time is over.
            WasmociError: It could not be run to its end, as by :func:`wasmoci.run`.
        """
        __tracebackhide__ = True  # for pytest: the message says it all
        self._wait(lambda: self._supervisor.is_over or None, "its end", timeout)
        self._raise_error()
        result = self._supervisor.result
        if result is None:
            raise ValueError("the guest was given up before it began")
        return result

    def _end(self) -> None:
        self._supervisor.end()
        if self._input is not None:
            self._input.release()
            self._input.close()

    def _launched(self) -> Launched:
        launched = self._supervisor.launched
        if launched is None:
            raise ValueError("the guest isn't started; use it as a context manager")
        return launched

    def _raise_error(self) -> None:
        if self._supervisor.error is not None:
            self._told = True
            raise self._supervisor.error

    def _wait(
        self, look: Callable[[], _T | None], what: str, timeout: float | None, *, interval: float | None = None
    ) -> _T:
        """Check a condition whenever something has changed, and every ``interval`` seconds."""
        __tracebackhide__ = True  # for pytest: the message says it all
        end = None if timeout is None else time.monotonic() + timeout
        with self._news:
            while True:
                found = look()
                if found is not None:
                    return found
                if self._supervisor.is_over:
                    raise self._in_vain(what, "it has ended") from self._supervisor.error
                remaining = threading.TIMEOUT_MAX if end is None else end - time.monotonic()
                if remaining <= 0:
                    raise self._in_vain(what, f"it did not come within {timeout:g} s")
                self._news.wait(min(remaining, threading.TIMEOUT_MAX, remaining if interval is None else interval))

    def _in_vain(self, what: str, why: str) -> GuestNotReady:
        with self._news:
            result, error = self._supervisor.result, self._supervisor.error
            stdout, stderr = self._supervisor.outputs.stdout.kept, self._supervisor.outputs.stderr.kept
        parts = [f"waiting for {what}: {why}"]
        if result is not None:
            parts[0] += f" ({result.reason.value}, {result.exit_code}{': ' + result.message if result.message else ''})"
        if error is not None:
            self._told = True
            parts.append(str(error))
        for name, output in (("output", stdout), ("error", stderr)):
            if output:
                parts.append(f"its standard {name} ends with:\n{output.decode('utf-8', 'replace')[-_TAIL:].rstrip()}")
        return GuestNotReady("\n".join(parts), stdout=stdout, stderr=stderr, result=result)
