"""Supervises a guest in a task of an event loop."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from wasmoci.isolation import event_loops

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from wasmoci.isolation.child_process import ChildProcess
    from wasmoci.isolation.event_loops import Loop
    from wasmoci.result import ExecutionResult


async def supervise(launch: AbstractContextManager[ChildProcess]) -> ExecutionResult:
    """Start a guest, wait for its end, and return its result; a cancellation ends it.

    What may take its time before the guest and after it is done on a thread, for as long as it takes. Outputs and messages are
    served on the loop's own.

    Args:
        launch: What runs, for as long as the context lasts. Another thread enters and leaves it than runs the task.

    Raises:
        WasmociError: It could not be run.
    """
    loop = event_loops.current()
    stack = contextlib.ExitStack()
    try:
        running = await event_loops.in_thread(loop, lambda: stack.enter_context(launch))
        in_time = await _serve(loop, running)
        result = running.finish(in_time=in_time)
    except GeneratorExit:
        stack.close()  # the loop is gone: nothing can be waited for
        raise
    except BaseException:
        kind, error, trace = sys.exc_info()
        await event_loops.in_thread(loop, lambda: stack.__exit__(kind, error, trace))
        raise
    await event_loops.in_thread(loop, stack.close)
    return result


async def _serve(loop: Loop, running: ChildProcess) -> bool:
    """Supervise a process until its end; return False when its time limit was reached first."""
    copier = running.copier
    while not copier.is_over:
        seconds = copier.seconds_until(running.deadline())
        if seconds <= 0:
            return False
        await loop.readable(copier.fileno(), seconds)
        copier.dispatch(0)
    return True
