"""What this process has open, and its children: to see that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def descriptors() -> frozenset[str]:
    """The numbers of all descriptors that are open now; that of the listing itself is among them."""
    return frozenset(entry.name for entry in Path("/proc/self/fd").iterdir())


def children() -> frozenset[str]:
    """The process ids of all children, zombies among them."""
    found: set[str] = set()
    for parent in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = parent.read_text(encoding="utf-8", errors="replace").rpartition(")")
            if rest.split()[1] == str(os.getpid()):
                found.add(name.partition(" ")[0])
    return frozenset(found)
