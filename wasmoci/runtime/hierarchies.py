"""Finds the mounted cgroup hierarchies: version 1, version 2, or both."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from wasmoci._startup import attrs

_MOUNTS = Path("/proc/self/mountinfo")
_LIMITING = frozenset({"memory", "cpu", "cpuset", "pids"})
_KILLED = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


@attrs.frozen
class Hierarchy:
    """One hierarchy.

    Args:
        directory: Where it is mounted, a host path.
        controllers: Its controllers, as far as they limit something.
        is_unified: Whether it is of version 2.
        own: The cgroup of this process in it.
    """

    directory: Path
    controllers: frozenset[str]
    is_unified: bool
    own: str


def mounted() -> list[Hierarchy]:
    """Return the hierarchies with a controller that limits resources."""
    found: dict[frozenset[str], Hierarchy] = {}
    for line in _MOUNTS.read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        directory = Path(before.split()[4])
        controllers = _LIMITING & set(_unified(directory) if kind == "cgroup2" else options.split(","))
        if controllers and controllers not in found:
            bare = Hierarchy(directory, controllers, kind == "cgroup2", "")
            found[controllers] = attrs.evolve(bare, own=group_of("self", bare) or "")
    return list(found.values())


def group_of(process: int | str, hierarchy: Hierarchy) -> str | None:
    """Return the cgroup of a process in a hierarchy; None when it has ended.

    Args:
        process: Its id, or ``self``.
        hierarchy: The hierarchy.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc", str(process), "cgroup").read_text(encoding="utf-8").splitlines():
            number, names, path = line.split(":", 2)
            if number == "0" if hierarchy.is_unified else hierarchy.controllers & set(names.split(",")):
                return path
    return None


def enable(directory: Path, hierarchy: Hierarchy) -> None:
    """Enable the limiting controllers for the children of a cgroup of version 2, as far as permitted."""
    for group in reversed([directory, *directory.parents]):
        if group.is_relative_to(hierarchy.directory):
            for controller in sorted(hierarchy.controllers):
                with contextlib.suppress(OSError):
                    (group / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def inherit_cpuset(directory: Path) -> None:
    """Set a new cgroup's cpuset (version 1) to that of its parent, without which it accepts no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        with contextlib.suppress(OSError):
            (directory / name).write_text((directory.parent / name).read_text(encoding="ascii"), encoding="ascii")


def killed_for_memory(directory: Path) -> int:
    """Return the number of processes of a cgroup that were killed because of its memory limit."""
    for name in ("memory.oom_control", "memory.events"):
        with contextlib.suppress(OSError):
            match = _KILLED.search((directory / name).read_text(encoding="ascii"))
            return 0 if match is None else int(match[1])
    return 0


def _unified(directory: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return (directory / "cgroup.controllers").read_text(encoding="ascii").split()
    return []
