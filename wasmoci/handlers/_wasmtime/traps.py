"""Determines from wasmtime's error how a run ended."""

from __future__ import annotations

import re

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers import wasi_host
from wasmoci.handlers.base import Outcome
from wasmoci.result import EXIT_TIMED_OUT, ExitReason

if TYPE_CHECKING:
    from wasmoci.handlers._wasmtime.library import Failure
    from wasmoci.handlers._wasmtime.run_state import Run
    from wasmoci.limits import Limits

# "    0:     0x41 - app!main"; the place is missing where it isn't known.
_FRAME = r"^\s*\d+:\s+(?:(0x[0-9a-f]+) - )?(\S.*)$"
_CAUSE = r"^\s*(?:\d+: )?(\S.*)$"
_NAMELESS = "<unknown>!"
_TRAP = "wasm trap: "
STOPPED = "stopped by its host"
"""The error that ends a guest which is to stop."""
HOST_FAILED = "a function of its host has not answered"
"""The trap that ends a guest in a host function, whatever the reason."""
REFUSED = "it has got no memory from its host"
"""The error of a memory that can't be had, or can't grow."""
_TABLES_REFUSED = ("exceeds table limits", "table count too high")
_OUT_OF_FUEL = "all fuel consumed by WebAssembly"


def read_report(text: str) -> tuple[str, tuple[str, ...]]:
    """Parse wasmtime's report of an error.

    Args:
        text: The report: a backtrace, and the causes from the outermost to the innermost.

    Returns:
        The causes in one line, and the frames, innermost first, each as ``module!function (0xoffset)``.
    """
    head, marked, tail = text.partition("\nCaused by:\n")
    first, _, rest = head.partition("\n")
    traced = first.startswith("error while executing")
    frames = []
    for line in rest.splitlines() if traced else ():
        match = re.match(_FRAME, line)
        if match:
            name = match[2].removeprefix(_NAMELESS)
            frames.append(f"{name} ({match[1]})" if match[1] else name)
        elif frames and line.strip() and not line.lstrip().startswith("note:"):
            frames[-1] += f" {line.strip()}"
    lines = (tail if traced else text).splitlines() if marked else text.splitlines()
    causes = [match[1] for line in lines if line != "Caused by:" and (match := re.match(_CAUSE, line))]
    return ": ".join(cause.removeprefix(_TRAP) for cause in causes), tuple(frames)


def summary(error: Failure) -> str:
    """Return an error of the engine as one line."""
    return read_report(str(error))[0]


def _explained(message: str, run: Run, refused: int) -> str:
    """A trap's message, or, of one that an entry has made, what the call-back had to say about it.

    Raises:
        EngineError: It has said nothing.
    """
    for words, known in ((HOST_FAILED, False), (STOPPED, run.stopped), (REFUSED, refused)):
        if message.endswith(words) and not known:
            if run.reason is None:
                raise wasi_host.unanswered()
            return run.reason
    return message


def outcome_of(error: Failure | None, run: Run, limits: Limits) -> Outcome:
    """Determine how a run ended.

    Args:
        error: The trap or error of wasmtime; None when the function returned.
        run: The run's state.
        limits: What it was allowed to use.

    Raises:
        EngineError: A call-back has ended it, and nobody knows why.
    """
    refused = 0 if run.memory is None else run.memory.refusals
    code = run.exit_code
    if code is None and error is None:
        code = 0
    elif code is None and error is not None:
        code = error.exit_code
    if code is not None:
        return wasi_host.exited(code, refused=refused, limits=limits)
    text = str(error)
    message, frames = read_report(text)
    message = _explained(message, run, refused)
    if run.memory is not None and run.memory.exhausted:
        return Outcome.out_of_memory(limits.memory, frames, "it went on asking for more")
    if run.expired and (STOPPED in text or run.reason == STOPPED):  # where wasmtime asked, or in a call of the host
        return Outcome.timed_out(limits.time)
    if limits.fuel is not None and _OUT_OF_FUEL in text:
        return Outcome(
            reason=ExitReason.TIMED_OUT,
            exit_code=EXIT_TIMED_OUT,
            message=f"it used up its fuel of {limits.fuel} instructions",
            backtrace=frames,
        )
    if run.memory is not None and any(part in text for part in _TABLES_REFUSED):
        refused += 1
    return wasi_host.trapped(message, frames, refused=refused, limits=limits)
