"""Removes the cgroups of a container that its native runtime no longer knows."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.runtime import started_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNTS = Path("/proc/self/mountinfo")
_OWN = Path("/proc/self/cgroup")
_PATIENCE = 1.0  # seconds for a killed process to leave
_STEP = 0.005


def directories(path: str | None, identifier: str) -> list[Path]:
    """Return the existing cgroups of a container, where native runtimes create them.

    Args:
        path: ``linux.cgroupsPath``; None where the spec has none. That of a systemd unit has nothing here: systemd removes
            its own.
        identifier: The container's id, by which a cgroup is named where the spec has no path.
    """
    if path is not None and ":" in path:
        return []
    found: dict[Path, None] = {}
    for mount in _hierarchies():
        names = [path] if path and path.startswith("/") else []
        if not names:
            name = path or identifier
            names = [name, *(f"{own}/{name}" for own in _own_groups())]
        for name in names:
            directory = Path(os.path.normpath(f"{mount}/{name.lstrip('/')}"))
            if directory != mount and directory.is_relative_to(mount) and directory.is_dir():
                found[directory] = None
    return list(found)


def remove(directory: Path, mark: str | None) -> None:
    """Remove a cgroup with those beneath it, after killing what a killed native runtime has left in them.

    Args:
        directory: The cgroup's, a host path.
        mark: That of the container's making; None where none is known.
    """
    groups = [Path(path) for path, _, _ in os.walk(directory, topdown=False)]
    deadline = time.monotonic() + _PATIENCE
    for group in groups:
        while True:
            with contextlib.suppress(FileNotFoundError):
                try:
                    group.rmdir()
                except OSError:
                    if _kill_unborn(group, mark) and time.monotonic() < deadline:
                        time.sleep(_STEP)
                        continue
            break


def _kill_unborn(group: Path, mark: str | None) -> bool:
    """Kill the processes of a group that were to become a container's; return False if it has others, which aren't killed."""
    try:
        processes = [int(line) for line in (group / "cgroup.procs").read_text(encoding="ascii").split()]
    except OSError:
        return False
    return all(
        started_processes.kill(process, lambda found: found.is_of_runc or (mark is not None and found.has(mark)))
        for process in processes
    )


def _hierarchies() -> Iterator[Path]:
    for line in _MOUNTS.read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in ("cgroup", "cgroup2"):
            yield Path(before.split()[4])


def _own_groups() -> set[str]:
    groups = {line.split(":", 2)[2].strip("/") for line in _OWN.read_text(encoding="utf-8").splitlines()}
    return groups - {""}
