"""Identifies compiled code by the engine's version and the processor."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from wasmoci._startup import sha256

_LEVELS = 3  # from an engine's file up to the directory that its distribution was installed in


def digest(*parts: str) -> str:
    """Return one digest of several texts."""
    return sha256.hexdigest("\0".join(parts).encode("utf-8", "surrogateescape"))


@functools.cache
def version(package: str, file: str) -> str:
    """Return an engine's version, without the cost of :mod:`importlib.metadata` where possible.

    Args:
        package: Its distribution.
        file: The host path of the engine's file; its size distinguishes a private build from the published one.
    """
    path = Path(file)
    found = next(filter(None, (_beside(parent, package) for parent in list(path.parents)[:_LEVELS])), "")
    if not found:
        from importlib import metadata  # noqa: PLC0415  30 ms of each start, and most are found without

        found = metadata.version(package)
    return f"{package} {found} {path.stat().st_size}"


def _beside(place: Path, package: str) -> str:
    prefix = package.replace("-", "_") + "-"
    for name in os.listdir(place):  # noqa: PTH208  faster
        if name.startswith(prefix) and name.endswith(".dist-info"):
            return name[len(prefix) : -len(".dist-info")]
    return ""


@functools.cache
def processor() -> str:
    """Return the machine type and the processor's features."""
    features = ""
    try:
        with Path("/proc/cpuinfo").open("rb", buffering=0) as file:
            for line in file.read(1 << 13).decode("ascii", "replace").split("\n"):
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features", "isa"):
                    features = value.strip()
                    break
    except OSError:  # the engines check the features themselves, too
        pass
    return f"{os.uname().machine} {features}"
