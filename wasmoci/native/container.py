"""Runs a native container through its runtime's process: passes on output and signals, and determines how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from wasmoci.errors import NativeRuntimeError
from wasmoci.isolation.child_process import ChildProcess
from wasmoci.result import EXIT_TIMED_OUT, ExecutionResult, ExitReason

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.limits import Limits
    from wasmoci.stdio import Streams

_PATIENCE = 5.0  # seconds that a runtime may take to create a container that is to be killed
_PAUSE = 0.02


class Container(ChildProcess):
    """A container that a native runtime runs in the foreground. A context manager, which ends the runtime's process.

    Args:
        runtime: The runtime's program, a host path.
        name: The name of the runtime.
        bundle: The bundle's directory, a host path.
        identifier: The container's id.
        log: The log file for the runtime, a host path.
        streams: The container's streams.
        limits: Only the time limit is used; the bundle contains the others.
    """

    def __init__(
        self, runtime: Path, name: str, *, bundle: Path, identifier: str, log: Path, streams: Streams, limits: Limits
    ) -> None:
        super().__init__()
        self._runtime = str(runtime)
        self._name = name
        self._bundle = bundle
        self._identifier = identifier
        self._log = log
        self._streams = streams
        self._limits = limits
        self._sent: set[int] = set()
        self._began = time.monotonic()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.copier)
            self._process = subprocess.Popen(  # noqa: S603  the user's runtime
                [
                    self._runtime,
                    *("--log", str(log), "--log-format", "json"),
                    *("run", "--bundle", str(bundle), identifier),
                ],
                stdin=streams.stdin,
                stdout=self.copier.output(streams.stdout),
                stderr=self.copier.output(streams.stderr),
            )
            stack.callback(self._end)
            self._descriptor = os.pidfd_open(self._process.pid)
            stack.callback(os.close, self._descriptor)
            self.copier.release_child_ends()
            self.copier.stop_at_end(self._descriptor)
            self._stack = stack.pop_all()
        self.begun()

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """See :class:`ChildProcess`."""
        return self._process.pid

    def deadline(self) -> float | None:
        """See :class:`ChildProcess`."""
        return None if self._limits.time is None else self._began + self._limits.time

    def signal(self, number: int) -> None:
        """See :class:`ChildProcess`. The runtime delivers it; if the container isn't created yet, this waits for it."""
        self._sent.add(number)
        end = time.monotonic() + _PATIENCE
        while not self._has_ended():
            if self._runtime_kills(number):
                return
            if time.monotonic() > end:
                self._kill()
                return
            time.sleep(_PAUSE)

    def _has_ended(self) -> bool:
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        return bool(poller.poll(0))

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def _reap(self) -> int | None:
        """Wait for the runtime's end, and return its status; None when it can't be known.

        It is unknown where this process ignores SIGCHLD, or waits for all its children elsewhere; :mod:`subprocess`
        reports 0 then.
        """
        try:
            _, status = os.waitpid(self._process.pid, 0)
        except ChildProcessError:
            self._process.returncode = -signal.SIGKILL  # keep others from waiting for it
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode

    def _runtime_kills(self, number: int) -> bool:
        command = [self._runtime, "kill", self._identifier, str(int(number))]
        silent = subprocess.DEVNULL
        done = subprocess.run(command, stdin=silent, stdout=silent, stderr=silent, check=False)  # noqa: S603
        return done.returncode == 0

    def finish(self, *, in_time: bool) -> ExecutionResult:
        """See :class:`ChildProcess`."""
        if not in_time:
            self._kill()
        status = self._reap()
        self.copier.drain()
        if status is None:
            if in_time:
                raise NativeRuntimeError(
                    f"the exit status of {self._name} is lost, and the container's with it",
                    hint="don't ignore SIGCHLD in this process, and don't wait for children that are not yours",
                )
            status = -signal.SIGKILL
        problem = _problem(self._log) if in_time and status != 0 else ""
        if problem:
            raise NativeRuntimeError(f"{self._name} could not run {self._bundle}: {problem}")
        if in_time and status < 0:
            raise NativeRuntimeError(f"{self._name} was stopped by signal {-status} while it ran {self._bundle}")
        exit_code, reason, message = self._verdict(status, in_time=in_time)
        return ExecutionResult(
            exit_code=exit_code,
            reason=reason,
            engine=self._name,
            stdout=self._streams.stdout.captured,
            stderr=self._streams.stderr.captured,
            stdout_truncated=self._streams.stdout.truncated,
            stderr_truncated=self._streams.stderr.truncated,
            duration=time.monotonic() - self._began,
            message=message,
        )

    def _verdict(self, status: int, *, in_time: bool) -> tuple[int, ExitReason, str]:
        if not in_time:
            return EXIT_TIMED_OUT, ExitReason.TIMED_OUT, f"it ran past its time limit of {self._limits.time:g} s"
        number = status - 128
        if number in self._sent:
            # The runtime reports any signal by the same number; this is the one that was requested.
            return status, ExitReason.SIGNALED, f"it was stopped by {signal.Signals(number).name}"
        return status, ExitReason.EXITED, ""


def _problem(log: Path) -> str:
    """Return the runtime's own error, from its log; empty when there is none, and the status is the container's."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        with contextlib.suppress(ValueError, AttributeError):
            entry = json.loads(line)
            if entry.get("level") in ("error", "fatal"):
                return str(entry.get("msg", ""))
    return ""
