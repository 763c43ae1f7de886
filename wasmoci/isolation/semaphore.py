"""A semaphore for threads and for tasks of any event loop, served in order of arrival."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import threading
import weakref
from typing import TYPE_CHECKING

from wasmoci.isolation import event_loops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_LONGEST = 3600.0  # seconds to wait at once


class Semaphore:
    """First come, first served. Safe to use from several threads and loops; a process that was forked has all turns for itself.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._lock = threading.Lock()
        # A slot is handed over by closing the writing end of a pipe, which a loop can wait for as well as a thread.
        self._waiting: collections.OrderedDict[int, int] = collections.OrderedDict()
        _all.add(self)

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Have a slot, once there is one."""
        ended = self._ask()
        if ended is not None:
            poller = select.poll()
            poller.register(ended)
            with self._waited_for(ended):
                poller.poll()
        try:
            yield
        finally:
            self._give_back()

    @contextlib.asynccontextmanager
    async def slot_async(self) -> AsyncIterator[None]:
        """The same in a task."""
        ended = self._ask()
        if ended is not None:
            with self._waited_for(ended):
                loop = event_loops.current()
                while ended in self._waiting:
                    await loop.readable(ended, _LONGEST)
        try:
            yield
        finally:
            self._give_back()

    def _ask(self) -> int | None:
        """Take a slot, or else give what can be read when it has come."""
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            ended, ends = os.pipe()
            self._waiting[ended] = ends
            return ended

    @contextlib.contextmanager
    def _waited_for(self, ended: int) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with self._lock:
                ends = self._waiting.pop(ended, None)
            if ends is None:
                self._give_back()  # it came after all, and nobody wants it
            else:
                os.close(ends)
            raise
        finally:
            os.close(ended)

    def _give_back(self) -> None:
        with self._lock:
            if self._waiting:
                _, ends = self._waiting.popitem(last=False)
                os.close(ends)
            else:
                # In a process that was forked in the middle of a slot, that one isn't missing.
                self._free = min(self._free + 1, self._count)

    def forget(self) -> None:
        """After a fork, forget the slots in use by the parent process, whose holders can't release them here."""
        self._lock = threading.Lock()
        self._free = self._count
        for ends in self._waiting.values():
            os.close(ends)
        self._waiting.clear()


def _forget() -> None:
    for semaphore in _all:
        semaphore.forget()


_all: weakref.WeakSet[Semaphore] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget)
