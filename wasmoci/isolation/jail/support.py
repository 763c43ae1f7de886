"""Detects whether this machine supports the jail."""

from __future__ import annotations

import functools
import platform
import sys

import attrs

from wasmoci.isolation.jail import landlock, seccomp
from wasmoci.isolation.jail.allowed_syscalls import architecture


@attrs.frozen(kw_only=True)
class Support:
    """What this machine supports.

    Args:
        landlock: The version of Landlock's interface; 0 for none.
        seccomp: Whether there are seccomp's filters.
        problem: Why there can be no jail; empty when there can.
    """

    landlock: int
    seccomp: bool
    problem: str = ""

    def __str__(self) -> str:
        return self.problem or f"Landlock (ABI {self.landlock}), seccomp"


@functools.cache
def support() -> Support:
    """Return what this machine supports; it is checked once."""
    if sys.platform != "linux":
        return Support(landlock=0, seccomp=False, problem=f"{sys.platform} has neither Landlock nor seccomp")
    version, filters = landlock.abi(), seccomp.available()
    problem = ""
    if architecture() is None:
        problem = f"the system calls of {platform.machine()} aren't known"
    elif not filters:
        problem = "this kernel, or the container that this process is in, has no seccomp filters"
    elif not version:
        problem = "this kernel, or the container that this process is in, has no Landlock (Linux 5.13, among the lsm= of the boot line)"
    return Support(landlock=version, seccomp=filters, problem=problem)
