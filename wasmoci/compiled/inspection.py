"""Reports on the compile cache, and prunes it."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.compiled import engine_caches, eviction
from wasmoci.compiled.directories import MODULES, Unusable, find, limit
from wasmoci.compiled.entries import Entries
from wasmoci.compiled.eviction import Pruned

if TYPE_CHECKING:
    from pathlib import Path


_SHOWN = ("engine", "version", "configuration", "module")


class Report(NamedTuple):
    """The state of the compile cache.

    Args:
        directory: Its host path; None when there is none.
        problem: Why there is none; empty when it is usable.
        limit: Its maximum size in bytes.
        entries: Its entries, the most recently used first: ``engine``, ``version``, ``configuration``, ``module`` (a
            digest), ``size`` in bytes, ``used`` in seconds since the epoch, and the ``file``.
    """

    directory: str | None
    problem: str
    limit: int
    entries: tuple[dict[str, object], ...]

    @property
    def size(self) -> int:
        """The bytes of all entries."""
        return sum(int(str(entry["size"])) for entry in self.entries)


def look() -> Report:
    """Report on the cache. It is created if it doesn't exist."""
    try:
        base, room = find(), limit()
        if base is None:
            return Report(None, "it is switched off", room, ())
        with Entries.open(base, _nothing) as entries:
            found = tuple(_described(entries, entry) for entry in eviction.listed(entries))
            return Report(str(base / MODULES), "", room, found)
    except Unusable as problem:
        return Report(None, str(problem), 0, ())


def prune(base: Path, room: int) -> Pruned:
    """Remove what nobody can use, and what exceeds a limit.

    Args:
        base: The directory of all caches.
        room: Bytes that may stay in our own cache, and in each cache that an engine keeps by itself.

    Raises:
        Unusable: The cache can't be used.
    """
    with Entries.open(base, _nothing) as entries:
        pruned = eviction.prune(entries, room)
    return Pruned(pruned.entries, pruned.size + engine_caches.trim(base / engine_caches.WASMER, room))


def _described(entries: Entries, entry: eviction.Entry) -> dict[str, object]:
    record = entries.record(entry.name) or {}
    described: dict[str, object] = {name: record.get(name) for name in _SHOWN}
    return {**described, "size": entry.size, "used": entry.used, "file": str(entries.path(entry.name))}


def _nothing(_problem: str) -> None:
    pass
