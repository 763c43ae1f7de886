"""Adapts asyncio's and trio's event loops for running guests; anyio uses one of these."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

_LONGEST = 3600.0  # seconds to wait at once


class Loop(Protocol):
    """The loop that runs the current task."""

    async def readable(self, descriptor: int, timeout: float) -> None:
        """Wait until a descriptor is readable, or a number of seconds have passed."""

    async def shielded(self, descriptor: int) -> None:
        """Wait until a descriptor is readable, even if the task is cancelled; a cancellation is raised afterwards."""


class AsyncioLoop:
    """A loop of asyncio that can watch descriptors, as all of them can on Unix."""

    async def readable(self, descriptor: int, timeout: float) -> None:
        """See :class:`Loop`."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def wake() -> None:
            if not future.done():
                future.set_result(None)

        loop.add_reader(descriptor, wake)
        timer = loop.call_later(min(timeout, _LONGEST), wake)
        try:
            await future
        finally:
            loop.remove_reader(descriptor)
            timer.cancel()

    async def shielded(self, descriptor: int) -> None:
        """See :class:`Loop`."""
        cancelled: asyncio.CancelledError | None = None
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        # anyio cancels again at each turn of the loop, before a descriptor's turn comes: so it is looked at here.
        while not poller.poll(0):
            try:
                await self.readable(descriptor, _LONGEST)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled


class TrioLoop:
    """A loop of trio.

    Args:
        trio: The package.
    """

    def __init__(self, trio: Any) -> None:
        self._trio = trio

    async def readable(self, descriptor: int, timeout: float) -> None:
        """See :class:`Loop`."""
        with self._trio.move_on_after(min(timeout, _LONGEST)):
            await self._trio.lowlevel.wait_readable(descriptor)

    async def shielded(self, descriptor: int) -> None:
        """See :class:`Loop`."""
        with self._trio.CancelScope(shield=True):
            await self._trio.lowlevel.wait_readable(descriptor)
        await self._trio.lowlevel.checkpoint_if_cancelled()


def current() -> Loop:
    """The loop that runs the current task.

    Raises:
        RuntimeError: There is none.
    """
    if "trio" in sys.modules:
        trio: Any = importlib.import_module("trio")
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass
        else:
            return TrioLoop(trio)
    asyncio.get_running_loop()
    return AsyncioLoop()


async def in_thread(loop: Loop, function: Callable[[], _T]) -> _T:
    """Call a function on a new thread, and wait for its end even if the task is cancelled."""
    results: list[_T] = []
    errors: list[BaseException] = []
    ended, ends = os.pipe()

    def body() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001  it is raised again, by the task
            errors.append(error)
        finally:
            os.close(ends)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(body,), name="wasmoci-async", daemon=True)
    try:
        thread.start()
        try:
            await loop.shielded(ended)
        finally:
            thread.join()
    finally:
        os.close(ended)
    if errors:
        raise errors.pop()
    return results.pop()
