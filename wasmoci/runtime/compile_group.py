"""Creates a cgroup for the process that compiles for a container, next to the container's and with the same limits.

It is made when there is something to compile, and removed afterwards. Where that isn't possible, as for a user who is not root,
the limits on the process are enforced in another way; see :class:`wasmoci.isolation.compile_bounds.Rest`.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import time
from pathlib import Path

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.isolation.compile_bounds import Rest
from wasmoci.runtime import hierarchies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_NAME = "wasmoci-compile-"
_PATIENCE = 1.0  # seconds for a killed process to leave
_STEP = 0.005
_PERIOD = 100_000  # microseconds, as the kernel's own


class CompileGroup:
    """A group for :attr:`wasmoci.isolation.compile_bounds.Bounds.group`; a context manager, at whose end nothing of it is left.

    Args:
        path: ``linux.cgroupsPath``; None where the spec has none.
        resources: ``linux.resources``.
    """

    def __init__(self, path: str | None, resources: Mapping[str, Any]) -> None:
        self._path = path
        self._memory = resources.get("memory") or {}
        self._cpu = resources.get("cpu") or {}
        self._pids = resources.get("pids") or {}
        self._unified = resources.get("unified") or {}
        self._made: list[Path] = []

    def __enter__(self) -> CompileGroup:
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self._made:
            with contextlib.suppress(FileNotFoundError):
                try:
                    self._made[-1].rmdir()
                except OSError:
                    if time.monotonic() < deadline:
                        time.sleep(_STEP)
                        continue
            self._made.pop()

    @property
    def memory(self) -> int | None:
        """The container's memory limit in bytes; None for no limit."""
        return _positive(self._memory.get("limit"))

    @property
    def processors(self) -> float | None:
        """The number of processors that it may use; None for no limit."""
        quota = _positive(self._cpu.get("quota"))
        return None if quota is None else quota / (_positive(self._cpu.get("period")) or _PERIOD)

    def join(self, process: int) -> Rest:
        """See :meth:`wasmoci.isolation.compile_bounds.Group.join`."""
        held = set()
        for hierarchy in hierarchies.mounted():
            with contextlib.suppress(OSError):
                directory = self._make(hierarchy)
                held |= {name for name in hierarchy.controllers if self._limit(name, directory, hierarchy)}
                (directory / "cgroup.procs").write_text(str(process), encoding="ascii")
        return Rest(
            memory=None if "memory" in held else self.memory, processors=None if "cpu" in held else self.processors
        )

    def ran_out(self) -> bool:
        """See :meth:`wasmoci.isolation.compile_bounds.Group.ran_out`."""
        return any(hierarchies.killed_for_memory(directory) for directory in self._made)

    def _make(self, hierarchy: hierarchies.Hierarchy) -> Path:
        parent = _nearest(hierarchy.directory / _parent(self._path, hierarchy.own).lstrip("/"), hierarchy.directory)
        for old in parent.glob(f"{_NAME}*"):  # of a process that was killed
            if not Path("/proc", old.name[len(_NAME) :]).exists():
                with contextlib.suppress(OSError):
                    old.rmdir()
        if hierarchy.is_unified:
            hierarchies.enable(parent, hierarchy)
        directory = parent / f"{_NAME}{os.getpid()}"
        if directory not in self._made:
            directory.mkdir(exist_ok=True)
            self._made.append(directory)
        return directory

    def _limit(self, controller: str, directory: Path, hierarchy: hierarchies.Hierarchy) -> bool:
        """Set the limits of one controller; return False if the kernel refuses them."""
        if controller == "cpuset" and not hierarchy.is_unified:
            hierarchies.inherit_cpuset(directory)
        settings = self._unified_settings if hierarchy.is_unified else self._settings
        try:
            for name, value in settings(controller):
                (directory / name).write_text(str(value), encoding="ascii")
        except OSError:
            return False
        return True

    def _settings(self, controller: str) -> Iterator[tuple[str, object]]:
        if controller == "memory":
            yield from _given(("memory.limit_in_bytes", self.memory))
            swap = _positive(self._memory.get("swap"))
            yield from _given(("memory.memsw.limit_in_bytes", swap))
        elif controller == "cpu":
            yield from _given(
                ("cpu.shares", _positive(self._cpu.get("shares"))),
                ("cpu.cfs_period_us", _positive(self._cpu.get("period"))),
                ("cpu.cfs_quota_us", _positive(self._cpu.get("quota"))),
            )
        elif controller == "cpuset":
            yield from _given(("cpuset.cpus", self._cpu.get("cpus")), ("cpuset.mems", self._cpu.get("mems")))
        elif controller == "pids":
            yield from _given(("pids.max", _positive(self._pids.get("limit"))))

    def _unified_settings(self, controller: str) -> Iterator[tuple[str, object]]:
        if controller == "memory":
            yield from _given(("memory.max", self.memory))
            swap = _positive(self._memory.get("swap"))
            if swap is not None and self.memory is not None:
                yield "memory.swap.max", max(swap - self.memory, 0)
        elif controller == "cpu":
            quota, shares = _positive(self._cpu.get("quota")), _positive(self._cpu.get("shares"))
            if shares is not None:
                yield "cpu.weight", 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142  # as runc and crun count
            if quota is not None:
                yield "cpu.max", f"{quota} {_positive(self._cpu.get('period')) or _PERIOD}"
        elif controller == "cpuset":
            yield from _given(("cpuset.cpus", self._cpu.get("cpus")), ("cpuset.mems", self._cpu.get("mems")))
        elif controller == "pids":
            yield from _given(("pids.max", _positive(self._pids.get("limit"))))
        for name, value in self._unified.items():
            if name.startswith(f"{controller}.") and "/" not in name:
                yield name, value


class ContainersGroup:
    """The existing cgroups of a running container, for compiling its modules.

    Args:
        process: A process of the container's.
    """

    memory = None

    def __init__(self, process: int) -> None:
        self._directories = [
            hierarchy.directory / own.lstrip("/")
            for hierarchy in hierarchies.mounted()
            if (own := hierarchies.group_of(process, hierarchy)) is not None
        ]
        self._killed = 0

    def join(self, process: int) -> Rest:
        """See :meth:`wasmoci.isolation.compile_bounds.Group.join`."""
        self._killed = self._count()
        for directory in self._directories:
            with contextlib.suppress(OSError):  # not the user's; whatever holds the user then holds this as well
                (directory / "cgroup.procs").write_text(str(process), encoding="ascii")
        return Rest()

    def ran_out(self) -> bool:
        """See :meth:`wasmoci.isolation.compile_bounds.Group.ran_out`."""
        return self._count() > self._killed

    def _count(self) -> int:
        return sum(hierarchies.killed_for_memory(directory) for directory in self._directories)


def _parent(path: str | None, own: str) -> str:
    """Return the path of a container's cgroup, where native runtimes create it."""
    if path is None:
        return own
    if ":" in path:
        return _slice(path.partition(":")[0] or "system.slice")
    return posixpath.dirname(path if path.startswith("/") else f"{own}/{path}")


def _slice(name: str) -> str:
    """Return the path of a systemd slice: ``a-b.slice`` is in ``a.slice``."""
    words = name.removesuffix(".slice").split("-")
    return "/".join("-".join(words[: count + 1]) + ".slice" for count in range(len(words))) if words[0] else ""


def _nearest(directory: Path, mount: Path) -> Path:
    """Return a directory, or its nearest existing parent in the hierarchy."""
    found = Path(os.path.normpath(directory))
    while not found.is_dir() and found != mount:
        found = found.parent
    return found if found.is_relative_to(mount) else mount


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _given(*settings: tuple[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in settings:
        if value is not None and value != "":
            yield name, value
