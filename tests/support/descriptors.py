"""What this process has open, and its children: to see that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def descriptors() -> frozenset[str]:
    """The numbers of all descriptors that are open now, without that of the listing itself.

    A listing takes the lowest number that is free: counted, it would name one that another thread closes meanwhile.
    """
    return frozenset(entry.name for entry in Path("/proc/self/fd").iterdir() if _is_open(int(entry.name)))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def children() -> frozenset[str]:
    """The process ids of all children, zombies among them."""
    found: set[str] = set()
    for parent in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = parent.read_text(encoding="utf-8", errors="replace").rpartition(")")
            if rest.split()[1] == str(os.getpid()):
                found.add(name.partition(" ")[0])
    return frozenset(found)
