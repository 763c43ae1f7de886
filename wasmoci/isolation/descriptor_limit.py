"""Holds the bound on descriptors for an engine that has none: the kernel holds it for the guest's process."""

from __future__ import annotations

import resource

from wasmoci.wasi.descriptors import MAX_DESCRIPTORS, RESERVED

MOST = MAX_DESCRIPTORS + 2 * RESERVED
"""Descriptors of a process that is a guest's own: the guest's, and those of the engine, of which no guest of our own host gets the last."""


def bound() -> None:
    """Bound how many descriptors this process may have at once, which is one guest's own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft > MOST:
        resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, hard))
