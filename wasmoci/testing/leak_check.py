"""Lists this process's open descriptors, threads and children, to check for leaks."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")


def descriptors() -> set[str]:
    """Return the numbers of all open descriptors, except that of the listing itself.

    A listing takes the lowest free number, which another thread may have closed meanwhile.
    """
    return {entry.name for entry in _DESCRIPTORS.iterdir() if _is_open(int(entry.name))}


def described(descriptor: str) -> str:
    """Describe a descriptor by its number and what it is open on."""
    try:
        return f"{descriptor} ({_DESCRIPTORS.joinpath(descriptor).readlink()})"
    except OSError:
        return descriptor


def threads() -> set[str]:
    """Python's threads."""
    return {f"{thread.name} ({thread.ident})" for thread in threading.enumerate()}


def children() -> set[str]:
    """Return the children of this process, including zombies, by id and start time, as ids are reused."""
    found = set()
    for process in Path("/proc").glob("[0-9]*/stat"):
        # A child that has just ended is missing. The per-thread lists of children aren't exact while threads end.
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
