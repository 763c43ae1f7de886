"""Finds the programs of the native OCI runtimes: crun, runc, youki.

It imports nothing heavy: ``wasmoci-runtime`` calls it for every native container.
"""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNTIMES = ("crun", "runc", "youki")
"""The known runtimes, in order of preference."""

_HYBRID_CGROUPS = "/sys/fs/cgroup/unified/cgroup.controllers"
_DIRECTORIES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def order() -> tuple[str, ...]:
    """Return the names in the order in which to try them on this host."""
    if os.path.exists(_HYBRID_CGROUPS):
        # crun refuses to work on a host with hybrid cgroups (version 1 and version 2).
        return (*(name for name in RUNTIMES if name != "crun"), "crun")
    return RUNTIMES


def which(name: str, environment: Mapping[str, str]) -> str | None:
    """Return the absolute host path of a program; None when it isn't found.

    Args:
        name: A name to look up in ``PATH``, or a host path.
        environment: Environment variables; a runtime may be called without ``PATH``.
    """
    if "/" in name:
        return os.path.abspath(name) if _is_program(name) else None
    for directory in (environment.get("PATH") or _DIRECTORIES).split(":"):
        candidate = os.path.join(directory or os.curdir, name)
        if _is_program(candidate):
            return os.path.abspath(candidate)
    return None


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
