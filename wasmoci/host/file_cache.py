"""Caches values that are computed from files, such as parsed modules."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable
    from typing import Any, TypeVar

    _T = TypeVar("_T")

SETTLED = 2_000_000_000  # nanoseconds; more than the timestamp resolution of any file system


def state_of(status: os.stat_result) -> tuple[int, ...] | None:
    """Return a key that changes whenever a file's content does.

    It is None for a file that has just changed: its content may change again within the same timestamp, so it has to be
    read.
    """
    if time.time_ns() - max(status.st_ctime_ns, status.st_mtime_ns) < SETTLED:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Cache:
    """A least-recently-used cache that threads can share; each value is computed once.

    Attributes:
        made: The number of values that were computed.

    Args:
        count: The maximum number of values.
        cost: The maximum of their total cost. The latest value is kept at any cost.
    """

    def __init__(self, count: int, cost: int) -> None:
        self.made = 0
        self._count = count
        self._cost = cost
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, cost: int, make: Callable[[], _T]) -> _T:
        """Return the value of a key. The first caller computes it, while others that request it wait."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(cost)
                self._drop_others()
            else:
                self._entries.move_to_end(key)
        with entry.lock:
            if not entry.made:
                entry.value = make()
                entry.made = True
                self.made += 1
        value: _T = entry.value
        return value

    def known(self, key: Hashable) -> Any:
        """Return the value of a key if it has been computed; else None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry.value

    def _drop_others(self) -> None:
        total = sum(entry.cost for entry in self._entries.values())
        while len(self._entries) > 1 and (len(self._entries) > self._count or total > self._cost):
            _, dropped = self._entries.popitem(last=False)
            total -= dropped.cost


class _Entry:
    def __init__(self, cost: int) -> None:
        self.cost = cost
        self.lock = threading.Lock()
        self.made = False
        self.value: Any = None
