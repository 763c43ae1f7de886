"""What runtimes leave on a machine: mounts, processes, cgroups, directories of state."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import waiting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STATE = tuple(
    Path(directory) for directory in ("/run/runc", "/run/crun", "/run/wasmoci", "/run/wasmoci-runtime", "/run/netns")
)
CGROUPS = Path("/sys/fs/cgroup")


def mentions(*marks: str | Path) -> list[str]:
    """Everything on the machine that names one of some directories or containers, one line each.

    Args:
        marks: Parts of paths, of command lines, of names of cgroups.
    """
    wanted = tuple(map(str, marks))
    return sorted({*_mounts(wanted), *_processes(wanted), *_cgroups(wanted), *_state(wanted)})


def settled(*marks: str | Path) -> list[str]:
    """The same once what is ending has ended: a tool's helper may take a moment after the tool itself.

    Args:
        marks: As for :func:`mentions`.
    """
    return waiting.settled(lambda: mentions(*marks), [])


def _mounts(marks: Iterable[str]) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        if any(mark in line for mark in marks):
            yield f"mount {line}"


def _processes(marks: tuple[str, ...]) -> Iterator[str]:
    own = {str(os.getpid()), str(os.getppid())}
    for process in Path("/proc").glob("[0-9]*"):
        if process.name in own:
            continue
        with contextlib.suppress(OSError):
            text = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if not text:
                continue  # it has ended, and its parent has yet to ask
            # An engine's command line doesn't tell whose it is.
            text += (process / "cgroup").read_text(encoding="utf-8")
            if any(mark in text for mark in marks):
                yield f"process {process.name}: {text.splitlines()[0]}"


def _cgroups(marks: tuple[str, ...]) -> Iterator[str]:
    for directory, names, _ in os.walk(CGROUPS):
        yield from (f"cgroup {directory}/{name}" for name in names if any(mark in name for mark in marks))


def _state(marks: tuple[str, ...]) -> Iterator[str]:
    for directory in STATE:
        for parent, names, files in os.walk(directory):
            names[:] = [name for name in names if name != "decisions"]  # kept for who asks, in a bounded number
            yield from (f"state {parent}/{name}" for name in (*names, *files) if any(mark in name for mark in marks))
