"""Turns, of which there are so many at a time: for threads, and for tasks of any event loop."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import threading
from typing import TYPE_CHECKING

from wasmoci.isolation import loops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_LONGEST = 3600.0  # seconds to wait at once


class Turns:
    """First come, first served. Safe to use from several threads and loops.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()
        # A turn is handed over by closing the writing end of a pipe, which a loop can wait for as well as a thread.
        self._waiting: collections.OrderedDict[int, int] = collections.OrderedDict()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn, once there is one."""
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
    async def turn_async(self) -> AsyncIterator[None]:
        """The same in a task."""
        ended = self._ask()
        if ended is not None:
            with self._waited_for(ended):
                loop = loops.current()
                while ended in self._waiting:
                    await loop.readable(ended, _LONGEST)
        try:
            yield
        finally:
            self._give_back()

    def _ask(self) -> int | None:
        """Take a turn, or else give what can be read when it has come."""
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
                self._free += 1
