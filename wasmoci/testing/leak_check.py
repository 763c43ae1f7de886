"""What this process has: its open descriptors, its threads and its children, to see that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")


def descriptors() -> set[str]:
    """The numbers of all descriptors that are open now, without that of the listing itself.

    A listing takes the lowest number that is free: counted, it would name one that another thread closes meanwhile.
    """
    return {entry.name for entry in _DESCRIPTORS.iterdir() if _is_open(int(entry.name))}


def described(descriptor: str) -> str:
    """A descriptor's number, with what it leads to."""
    try:
        return f"{descriptor} ({_DESCRIPTORS.joinpath(descriptor).readlink()})"
    except OSError:
        return descriptor


def threads() -> set[str]:
    """Python's threads."""
    return {f"{thread.name} ({thread.ident})" for thread in threading.enumerate()}


def children() -> set[str]:
    """The children of this process, zombies among them: each by its id and the time of its start, for ids come again."""
    found = set()
    for process in Path("/proc").glob("[0-9]*/stat"):
        # One that has just ended isn't there any more. Those of a single thread are in no file that is exact while threads end.
        with contextlib.suppress(OSError):
            number, _, rest = process.read_text(encoding="utf-8", errors="replace").partition(" ")
            state = rest.rpartition(")")[2].split()
            if state[1] == str(os.getpid()):
                found.add(f"{number}, started at {state[19]}")
    return found


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
