"""What an engine needs of a container's limits before any guest runs: what is too little is said, and not met later as a crash.

Measured with guests that need nothing themselves, their modules compiled before, over runc: the first limit with which a run ends well.
"""

from __future__ import annotations

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedWorkload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MIB = 1 << 20
_FEW = 256
_SWAPS = "/proc/swaps"


@attrs.frozen
class _Least:
    """The least that works.

    Args:
        processes: Processes and threads, with :data:`SPARING` in the engine's environment.
        memory: Bytes.
    """

    processes: int
    memory: int


_LEAST = {
    "wasm3": _Least(3, 13 * _MIB),
    "wasmtime": _Least(3, 13 * _MIB),
    "wasmer": _Least(9, 39 * _MIB),
}
_OF_ANY = _Least(2, 12 * _MIB)
"""Of an engine that nobody has measured: the first process and the engine's, and an interpreter's memory."""

SPARING = ("TOKIO_WORKER_THREADS=1", "RAYON_NUM_THREADS=1")
"""Variables by which engines start one thread of a kind, and not one for each processor."""


def check(resources: Mapping[str, Any], engine: str | None) -> None:
    """Refuse limits with which an engine can't even start.

    Args:
        resources: ``linux.resources`` of a container.
        engine: The engine's name; None where it isn't chosen yet, so that only what is too little for all is refused.

    Raises:
        UnsupportedWorkload: One is too small.
    """
    name = engine or "an engine"
    least = _OF_ANY if engine is None else _LEAST.get(engine, _OF_ANY)
    processes = _processes(resources)
    if processes is not None and processes < least.processes:
        raise UnsupportedWorkload(
            f"the container may have {processes} processes and threads (linux.resources.pids.limit), and {name} needs at least"
            f" {least.processes}"
        )
    memory = _memory(resources)
    if memory is not None and memory < least.memory:
        raise UnsupportedWorkload(
            f"the container may have {memory / _MIB:.4g} MiB of memory (linux.resources.memory.limit), and {name} needs at least"
            f" {least.memory // _MIB} MiB, beside what the guest needs"
        )


def are_few(resources: Mapping[str, Any]) -> bool:
    """Whether a container may have so few processes that an engine's threads for each processor could be too many."""
    processes = _processes(resources)
    return processes is not None and processes < _FEW


def _processes(resources: Mapping[str, Any]) -> int | None:
    return _least_of((resources.get("pids") or {}).get("limit"), _unified(resources, "pids.max"))


def _memory(resources: Mapping[str, Any]) -> int | None:
    """The limit; None where there is none, or where there is swap beside it, of which it isn't known what it holds."""
    memory = resources.get("memory") or {}
    limit = _least_of(memory.get("limit"), _unified(resources, "memory.max"))
    swap = memory.get("swap")
    has_swap = (not isinstance(swap, int) or limit is None or swap > limit) and _host_swaps()
    return None if has_swap else limit


def _host_swaps() -> bool:
    try:
        with open(_SWAPS, encoding="ascii", errors="replace") as stream:  # noqa: PTH123
            return len(stream.readlines()) > 1
    except OSError:
        return False


def _unified(resources: Mapping[str, Any], name: str) -> int | None:
    value = (resources.get("unified") or {}).get(name)
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _least_of(*values: object) -> int | None:
    return min((value for value in values if isinstance(value, int) and value > 0), default=None)
