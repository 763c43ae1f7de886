"""Compares the results of a workload on several engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.testing.changes import Changes
from wasmoci.testing.transcript import difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wasmoci.testing.guest_run import GuestRun

OUTPUTS = ("stdout", "stderr")
FILES = "files"


def report_differences(runs: Sequence[GuestRun], ignore: Sequence[str] = ()) -> str:
    """Describe the differences between runs of one workload; the result is empty when there are none.

    Args:
        runs: One for each engine; the others are compared with the first.
        ignore: What to ignore: ``stdout``, ``stderr``, ``files``, or a prefix of guest paths.

    Raises:
        ValueError: A value of ``ignore`` is unknown.
    """
    for name in ignore:
        if name not in (*OUTPUTS, FILES) and not name.startswith("/"):
            msg = f"ignore: {name!r}; {', '.join((*OUTPUTS, FILES))} or an absolute guest path was expected"
            raise ValueError(msg)
    first, *others = (_without(run, ignore) for run in runs)
    lines: list[str] = []
    for other in others:
        if other != first:
            lines += difference(first.transcript(), other.transcript(), names=(first.engine, other.engine))
    if not lines:
        return ""
    agreeing = [run.engine for run in others if run == first]
    heading = f"the engines don't agree; {', '.join((first.engine, *agreeing))} "
    heading += "have the same result, and others differ:" if agreeing else "differs from the others:"
    return "\n".join((heading, *lines))


def _without(run: GuestRun, ignore: Sequence[str]) -> GuestRun:
    places = tuple(name for name in ignore if name.startswith("/"))

    def counts(path: str) -> bool:
        return FILES not in ignore and not path.startswith(places)

    changes = run.changes
    return attrs.evolve(
        run,
        stdout=None if "stdout" in ignore else run.stdout,
        stderr=None if "stderr" in ignore else run.stderr,
        changes=Changes(
            files={path: content for path, content in changes.files.items() if counts(path)},
            directories=tuple(filter(counts, changes.directories)),
            links={path: target for path, target in changes.links.items() if counts(path)},
            removed=tuple(filter(counts, changes.removed)),
        ),
    )
