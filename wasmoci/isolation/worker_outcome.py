"""Converts a worker's answer, or its death without one, to a result or an error."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from wasmoci.errors import EngineCrashed
from wasmoci.handlers.base import Outcome
from wasmoci.isolation import messages
from wasmoci.isolation.jail import WAY_OUT
from wasmoci.result import ExecutionResult, ExitReason

if TYPE_CHECKING:
    import attrs

    from wasmoci.errors import WasmociError
else:
    from wasmoci._startup import attrs

FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)
"""Signals that a process brings upon itself: with these the engine crashed, with others somebody stopped it."""

_OF_THE_JAIL = frozenset({"FileNotFoundError", "ImportError", "ModuleNotFoundError", "OSError", "PermissionError"})
"""What a handler meets that reaches for something of the host's."""

_TAIL = 2000  # bytes of the captured standard error that an error keeps


@attrs.frozen(kw_only=True)
class WorkerOutcome:
    """How a worker process ended within its time limit.

    Args:
        engine: The engine's name.
        answer: The worker's last message; None when it died without one.
        status: How the process ended, as :attr:`subprocess.Popen.returncode` has it; says nothing where there is an answer.
        duration: Seconds from the start of the guest.
        stderr: What was captured of the standard error.
        jailed: Whether it was in the jail.
        exhausted: The bytes of its memory limit, where the process was seen to hold all of them.
    """

    engine: str
    answer: dict[str, Any] | None
    status: int
    duration: float
    stderr: bytes = b""
    jailed: bool = False
    exhausted: int | None = None

    def result(self) -> ExecutionResult:
        """The guest's result, without its output.

        Raises:
            EngineCrashed: The engine failed, or its answer is invalid.
            WasmociError: The guest could not be started.
        """
        if self.answer is None:
            return self._died()
        try:
            return self._answered(self.answer)
        except (LookupError, TypeError, ValueError, OverflowError) as problem:
            raise EngineCrashed(f"{self.engine}'s process gave an answer that makes no sense: {problem}") from None

    def _answered(self, answer: dict[str, Any]) -> ExecutionResult:
        event = answer["event"]
        if event == "result":
            # Which engine it was its caller knows, whatever a guest that has taken it over says.
            result = attrs.evolve(messages.result_of(answer), engine=self.engine)
            if self.exhausted is not None and result.reason is ExitReason.TRAPPED:
                return as_result(
                    Outcome.out_of_memory(self.exhausted, result.backtrace, result.message),
                    self.engine,
                    result.duration,
                )
            return result
        if event == "out-of-memory":
            return as_result(Outcome.out_of_memory(int(answer["limit"])), self.engine, self.duration)
        if event == "error":
            error: WasmociError = messages.error_of(answer)
            raise error
        trace = str(answer["traceback"])
        problem = trace.strip().splitlines()[-1]
        hint = None
        if self.jailed and problem.split(":")[0] in _OF_THE_JAIL:
            hint = f"in the jail nothing can be imported, no file of the host read and no process started; {WAY_OUT}"
        return self._crashed(f"the handler of {self.engine} failed: {problem}", stderr=trace, hint=hint)

    def _died(self) -> ExecutionResult:
        if self.status >= 0:
            return self._crashed(f"{self.engine}'s process ended with status {self.status} and without an answer")
        number = -self.status
        name = signal_name(number)
        if number in FAULTS:
            return self._crashed(f"{self.engine} crashed with {name} while it ran the guest", number=number)
        outcome = Outcome(
            reason=ExitReason.SIGNALED, exit_code=128 + number, message=f"its process was stopped by {name}"
        )
        return as_result(outcome, self.engine, self.duration)

    def _crashed(
        self, message: str, *, number: int | None = None, stderr: str | None = None, hint: str | None = None
    ) -> ExecutionResult:
        if self.exhausted is not None:
            return as_result(Outcome.out_of_memory(self.exhausted, detail=message), self.engine, self.duration)
        tail = self.stderr[-_TAIL:].decode("utf-8", "replace") if stderr is None else stderr
        raise EngineCrashed(message, signal=number, stderr=tail, hint=hint)


def as_result(outcome: Outcome, engine: str, duration: float) -> ExecutionResult:
    """Convert an outcome to a result, without output."""
    return ExecutionResult(
        exit_code=outcome.exit_code,
        reason=outcome.reason,
        engine=engine,
        duration=duration,
        message=outcome.message,
        backtrace=outcome.backtrace,
    )


def signal_name(number: int) -> str:
    """Return a signal's name, or its number as text."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
