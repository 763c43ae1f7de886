"""Limits the descriptors of a guest's process through the kernel, for an engine without such a limit."""

from __future__ import annotations

import resource

from wasmoci.wasi.descriptors import MAX_DESCRIPTORS, RESERVED

MOST = MAX_DESCRIPTORS + 2 * RESERVED
"""Descriptors of a process that is a guest's own: the guest's, and those of the engine, of which no guest of our own host gets the last."""


def bound() -> None:
    """Limit the number of descriptors of this process, which runs a single guest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft > MOST:
        resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, hard))
