"""Keeps the compile cache within its limits by removing the least recently used entries."""

from __future__ import annotations

import contextlib
import os

from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.compiled.file_names import CODE, LOCK, PART, RECORD
from wasmoci.compiled.lock import lock

if TYPE_CHECKING:
    from wasmoci.compiled.entries import Entries

MOST_ENTRIES = 4096


class Entry(NamedTuple):
    """The size and age of an entry.

    Args:
        name: Its name.
        size: Bytes of its code.
        used: When it was used last, in seconds since the epoch.
    """

    name: str
    size: int
    used: float


class Pruned(NamedTuple):
    """What was removed.

    Args:
        entries: The number of entries.
        size: The bytes of their code, and of files left behind by processes that died.
    """

    entries: int
    size: int


def listed(entries: Entries) -> list[Entry]:
    """Return all entries, the most recently used first."""
    used: dict[str, float] = {}
    sizes: dict[str, int] = {}
    with os.scandir(entries.descriptor) as found:
        for item in found:
            name, suffix = os.path.splitext(item.name)  # noqa: PTH122
            with contextlib.suppress(FileNotFoundError):
                if suffix == RECORD:
                    used[name] = item.stat(follow_symlinks=False).st_mtime
                elif suffix == CODE:
                    sizes[name] = item.stat(follow_symlinks=False).st_size
    # Code without a record belongs to a process that is about to write the record, or that died: treat it as the
    # oldest.
    return sorted((Entry(name, size, used.get(name, 0)) for name, size in sizes.items()), key=lambda e: -e.used)


def make_room(entries: Entries, room: int, most: int = MOST_ENTRIES) -> Pruned:
    """Remove what dead processes left behind, then the oldest entries until the limits of size and number are met."""
    total = removed = 0
    freed = _remove_leftovers(entries)
    for position, entry in enumerate(listed(entries)):
        total += entry.size
        if position >= most or total > room:
            entries.remove(entry.name)
            removed += 1
            freed += entry.size
            total -= entry.size
    return Pruned(removed, freed)


def prune(entries: Entries, room: int) -> Pruned:
    """Remove what nobody can use: damaged entries, files left behind by dead processes, and entries beyond the limit.

    Args:
        entries: The cache.
        room: Bytes that may stay.
    """
    damaged = [entry for entry in listed(entries) if _is_abandoned(entries, entry)]
    for entry in damaged:
        entries.remove(entry.name)
    pruned = make_room(entries, room)
    return Pruned(len(damaged) + pruned.entries, sum(entry.size for entry in damaged) + pruned.size)


def _is_abandoned(entries: Entries, entry: Entry) -> bool:
    if entries.is_sound(entry.name):
        return False
    try:
        with lock(entries.descriptor, entry.name + LOCK, patience=0) as free:
            return free and not entries.is_sound(entry.name)
    except OSError:
        return False


def _remove_leftovers(entries: Entries) -> int:
    freed = 0
    for file in os.listdir(entries.descriptor):  # noqa: PTH208  a descriptor
        if file.endswith((PART, LOCK)):
            # Taking and releasing the lock removes a lock file that nobody holds.
            with contextlib.suppress(OSError), lock(entries.descriptor, _name(file) + LOCK, patience=0) as free:
                if free and file.endswith(PART):
                    freed += os.stat(file, dir_fd=entries.descriptor, follow_symlinks=False).st_size
                    os.unlink(file, dir_fd=entries.descriptor)
    return freed


def _name(file: str) -> str:
    return file.partition(".")[0]
