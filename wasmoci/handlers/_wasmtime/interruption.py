"""Stopping a guest that runs: at its time limit, or when it is refused memory without end.

wasmtime's code looks at a counter of the engine, the epoch, at each loop and function. Advancing it makes every guest of the
engine ask its run whether it is to stop; the others go on. So no clock has to tick while nothing is due.
"""

from __future__ import annotations

import _thread
import contextlib

from wasmoci.handlers._wasmtime.calls import new_error
from wasmoci.handlers._wasmtime.library import library
from wasmoci.handlers._wasmtime.prototypes import NO_FINALIZER, wasmtime_epoch_callback_t
from wasmoci.handlers._wasmtime.run import current_run
from wasmoci.handlers._wasmtime.traps import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.run import Run

_CONTINUE = 0


@wasmtime_epoch_callback_t  # type: ignore[untyped-decorator]
def _asked(_context: int, _data: int | None, delta: Any, kind: Any) -> int:
    if current_run().stopped:
        return new_error(STOPPED)
    delta[0] = 1
    kind[0] = _CONTINUE
    return 0


def listen(store: Owned, context: int) -> None:
    """Have a store's guest ask its run whether to stop, whenever the engine's epoch advances.

    Args:
        store: The store.
        context: Its context.
    """
    library.wasmtime_store_epoch_deadline_callback(store.pointer, _asked, None, NO_FINALIZER)
    library.wasmtime_context_set_epoch_deadline(context, 1)


@contextlib.contextmanager
def time_limit(seconds: float, run: Run, engine: Owned) -> Iterator[None]:
    """Stop a run when its time is over. The thread that waits for it ends with the run.

    Args:
        seconds: Counted from here.
        run: What to stop.
        engine: Its engine, whose stores listen.
    """
    # Not by threading.Thread, which takes longer than many a guest: until it has begun, and to keep account of it.
    ended, gone = _thread.allocate_lock(), _thread.allocate_lock()
    ended.acquire()
    gone.acquire()

    def wait() -> None:
        try:
            if not ended.acquire(timeout=min(seconds, _thread.TIMEOUT_MAX)):
                run.expired = True
                library.wasmtime_engine_increment_epoch(engine.pointer)
        finally:
            gone.release()

    _thread.start_new_thread(wait, ())
    try:
        yield
    finally:
        ended.release()
        gone.acquire()
