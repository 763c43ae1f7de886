"""Defines the result of a workload, and the errors that carry one."""

from __future__ import annotations

import enum

from wasmoci._startup import attrs
from wasmoci.errors import WasmociError

_TAIL = 2000  # characters of the guest's standard error that an error message quotes


class ExitReason(enum.Enum):
    """Why a guest is no longer running."""

    EXITED = "exited"
    """It returned from its entry function, or asked to exit."""
    TRAPPED = "trapped"
    """It did what WebAssembly forbids: an unreachable, a bad access, a stack too deep."""
    TIMED_OUT = "timed-out"
    """It exceeded its limit of wall-clock time or fuel."""
    OUT_OF_MEMORY = "out-of-memory"
    """It failed because its limit refused memory."""
    SIGNALED = "signaled"
    """A signal stopped it."""


EXIT_TRAPPED = 134
EXIT_TIMED_OUT = 124
EXIT_OUT_OF_MEMORY = 137


@attrs.frozen(kw_only=True)
class ExecutionResult:
    """The result of a guest.

    Args:
        exit_code: The guest's own code with ``EXITED``, else 134, 124, 137 or 128 + the signal's number. Not cut to 8 bits:
            :attr:`exit_status` is.
        reason: Why it ended.
        engine: The name of the handler that ran it; for a native workload the name of the runtime.
        stdout: What it wrote to its standard output, when that was captured; else None.
        stderr: What it wrote to its standard error, when that was captured; else None.
        stdout_truncated: Whether output past the bound was dropped.
        stderr_truncated: The same for the standard error.
        duration: Seconds of wall-clock time from the start of the entry function to its end.
        message: A sentence about the end, from the engine where it was a trap; empty after a plain exit.
        backtrace: The guest's frames after a trap, innermost first; empty where the engine gives none.
    """

    exit_code: int
    reason: ExitReason
    engine: str
    stdout: bytes | None = None
    stderr: bytes | None = None
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    duration: float = 0.0
    message: str = ""
    backtrace: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the guest exited with 0."""
        return self.reason is ExitReason.EXITED and self.exit_code == 0

    @property
    def exit_status(self) -> int:
        """The exit status for a process: 8 bits, and 0 only for a guest that exited with 0."""
        status = self.exit_code & 0xFF
        return 255 if status == 0 and not self.ok else status

    def check(self) -> ExecutionResult:
        """Return the result itself when the guest exited with 0.

        Raises:
            GuestFailed: It ended in any other way.
        """
        if self.ok:
            return self
        parts = [f"the guest {self._ending()} (engine {self.engine})"]
        if self.message:
            parts.append(self.message)
        parts.extend(f"  at {frame}" for frame in self.backtrace)
        if self.stderr:
            parts.append("its standard error ends with:\n" + self.stderr.decode("utf-8", "replace")[-_TAIL:].rstrip())
        raise GuestFailed("\n".join(parts), result=self)

    def _ending(self) -> str:
        return {
            ExitReason.EXITED: f"exited with {self.exit_code}",
            ExitReason.TRAPPED: "trapped",
            ExitReason.TIMED_OUT: "ran past its time limit",
            ExitReason.OUT_OF_MEMORY: "ran out of memory",
            ExitReason.SIGNALED: f"was stopped by signal {self.exit_code - 128}",
        }[self.reason]


class GuestFailed(WasmociError):
    """The guest did not end with ``EXITED`` and 0; raised by :meth:`wasmoci.ExecutionResult.check`.

    Args:
        message: How it ended, with the end of what it wrote to its standard error.
        result: The whole result.
    """

    _keeps = "\n\t"

    def __init__(self, message: str, *, result: ExecutionResult) -> None:
        super().__init__(message)
        self.result = result


class GuestNotReady(WasmociError):
    """Waiting for a guest failed: it ended before, or the wait timed out.

    Args:
        message: What was awaited, why the wait failed, and the end of the output.
        stdout: The standard output so far, as far as it is kept.
        stderr: The standard error so far.
        result: The result of a guest that has ended; None while it runs.
    """

    _keeps = "\n\t"

    def __init__(self, message: str, *, stdout: bytes, stderr: bytes, result: ExecutionResult | None = None) -> None:
        super().__init__(message)
        self.stdout = stdout
        self.stderr = stderr
        self.result = result
