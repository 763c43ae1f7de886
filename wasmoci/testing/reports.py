"""Formats the runs of a failed test for its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import WasmociError
from wasmoci.testing.transcript import block, difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wasmoci.testing.guest_run import GuestRun
    from wasmoci.testing.recorded_run import Attempt

_SHOWN = 3  # runs; in a test with more, the earlier ones are rarely relevant
_MOST_LINES = 100  # of one output


def sections(attempts: Sequence[Attempt]) -> Iterator[tuple[str, str]]:
    """Return a title and a text for each of the last runs of a failed test."""
    count = len(attempts)
    for number, attempt in enumerate(attempts, 1):
        if number > count - _SHOWN:
            of = f" {number} of {count}" if count > 1 else ""
            lines = [*_lines(attempt), *_explanation(attempt, whole=number == count)]
            yield f"Wasm guest{of}: {_ending(attempt)}", "\n".join(lines)


def compare_runs(first: GuestRun, second: GuestRun) -> list[str]:
    """Return the lines that explain why two runs are not equal."""
    names = (first.engine, second.engine) if first.engine != second.engine else ("left", "right")
    lines = difference(first.transcript(), second.transcript(), names=names)
    return ["the guests did not do the same", *lines]


def _ending(attempt: Attempt) -> str:
    if attempt.error is not None:
        return f"could not be run on {attempt.request.engine}" if attempt.request.engine else "could not be run"
    if attempt.run is None:
        return f"started on {attempt.request.engine or 'an engine'}"
    return f"{attempt.run.ending} on {attempt.run.engine}"


def _lines(attempt: Attempt) -> Iterator[str]:
    if attempt.error is not None:
        yield f"{type(attempt.error).__name__}: {attempt.error}"
    if attempt.guest is not None:
        yield from _shortened(block("stdout so far", attempt.guest.stdout))
        yield from _shortened(block("stderr so far", attempt.guest.stderr))
    run = attempt.run
    if run is not None:
        if run.message:
            yield run.message
        yield from (f"  at {frame}" for frame in run.backtrace)
        for name in ("stdout", "stderr"):
            yield from _shortened(
                block(name, getattr(run, name), truncated=getattr(run, f"{name}_truncated")),
            )
        if run.changes:
            yield "changed: " + ", ".join(
                [*run.changes.files, *run.changes.directories, *run.changes.links]
                + [f"{path} (removed)" for path in run.changes.removed]
            )


def _explanation(attempt: Attempt, *, whole: bool) -> Iterator[str]:
    """Return the dispatcher's decision without irrelevant rules; for earlier runs only the result."""
    try:
        explanation = attempt.explain()
    except (WasmociError, OSError) as error:
        yield f"{attempt.request.bundle.path}: can't be explained: {error}"
        return
    lines = str(attrs.evolve(explanation, rules=())).splitlines()
    rules = lines.index("rules")
    yield from lines[:rules]
    if whole:
        yield from lines[rules + 1 :]


def _shortened(lines: Iterable[str]) -> list[str]:
    lines = list(lines)
    if len(lines) <= _MOST_LINES:
        return lines
    left_out = len(lines) - _MOST_LINES
    return [lines[0], f"  ({left_out} lines left out)", *lines[left_out + 1 :]]
