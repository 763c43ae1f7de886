"""Limits the memory of a worker process through the kernel, for an engine that can't limit its guest.

The engine is then refused memory without knowing why, and ends in whatever way it has for that. So the caller looks at how
much the process holds while it runs: one that had the whole limit, and then trapped or crashed, was out of memory. One that
was refused a large piece all at once is seen to trap; only an engine with ``Capability.MEMORY_LIMIT`` can tell that apart.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys

OVERHEAD = 64 << 20
"""Bytes that the engine may use beside the guest's memory."""

INTERVAL = 0.005
"""Seconds from one look at a worker's memory to the next."""

_MOST = 256  # bytes, more than statm has
_DATA = 5  # the field of statm: data and stack, in pages


def bound(limit: int, *, overhead: int = OVERHEAD) -> int:
    """Limit what this process may allocate from now on.

    Args:
        limit: Bytes of the guest's memory.
        overhead: Bytes beside them.

    Returns:
        The bytes that the process holds already.
    """
    held = _held("self")
    most = held + limit + overhead
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if most < (sys.maxsize if hard == resource.RLIM_INFINITY else hard):
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    return held


class Watch:
    """Observes the memory of a limited process.

    Args:
        process: Its process id.
        held: The bytes that it held before the guest was there.
    """

    def __init__(self, process: int, held: int) -> None:
        self._process = str(process)
        self._held = held
        self._most = 0

    def look(self) -> None:
        """Measure its memory now."""
        with contextlib.suppress(OSError, IndexError):  # it has ended
            self._most = max(self._most, _held(self._process))

    def saw(self, limit: int) -> bool:
        """Whether it ever used as much as its guest's limit."""
        return self._most - self._held >= limit


def _held(process: str) -> int:
    # By calls of the system alone: in a process that was just forked each page that is written to is copied first.
    descriptor = os.open(f"/proc/{process}/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        pages = int(os.read(descriptor, _MOST).split()[_DATA])
    finally:
        os.close(descriptor)
    return pages * resource.getpagesize()
