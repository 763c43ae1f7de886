"""Stopping a guest that runs: at its time limit, or when it is refused memory without end.

wasmtime's code looks at a counter of the engine, the epoch, at each loop and function. Advancing it makes every guest of the
engine ask its run whether it is to stop; the others go on. So no clock has to tick while nothing is due.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from wasmtime import _ffi as ffi

from wasmoci.handlers._wasmtime.calls import NO_FINALIZER, new_error
from wasmoci.handlers._wasmtime.run import current_run
from wasmoci.handlers._wasmtime.traps import STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import wasmtime

    from wasmoci.handlers._wasmtime.run import Run

_CALLBACK: Any = ffi.dll.wasmtime_store_epoch_deadline_callback.argtypes[1]
_CONTINUE = 0


@_CALLBACK  # type: ignore[untyped-decorator]
def _asked(_context: Any, _data: int, delta: Any, kind: Any) -> int:
    if current_run().stopped:
        return new_error(STOPPED)
    delta[0] = 1
    kind[0] = _CONTINUE
    return 0


def listen(store: wasmtime.Store) -> None:
    """Have a store's guest ask its run whether to stop, whenever the engine's epoch advances."""
    ffi.wasmtime_store_epoch_deadline_callback(store.ptr(), _asked, None, NO_FINALIZER)
    store.set_epoch_deadline(1)


@contextlib.contextmanager
def time_limit(seconds: float | None, run: Run, engine: wasmtime.Engine) -> Iterator[None]:
    """Stop a run when its time is over. The thread that waits for it ends with the run.

    Args:
        seconds: Counted from here; None for no limit.
        run: What to stop.
        engine: Its engine, whose stores listen.
    """
    if seconds is None:
        yield
        return
    ended = threading.Event()

    def wait() -> None:
        if not ended.wait(min(seconds, threading.TIMEOUT_MAX)):
            run.expired = True
            engine.increment_epoch()

    thread = threading.Thread(target=wait, name="wasmoci-time-limit", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
