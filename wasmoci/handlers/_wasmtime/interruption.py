"""Stops a running guest at its time limit, or when it requests memory again and again.

wasmtime's code looks at a counter of the engine, the epoch, at each loop and function. Advancing it makes every guest of the
engine ask its run whether it is to stop; the others go on. So no clock has to tick while nothing is due.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._callback_entries import Entry, Marked, addresses
from wasmoci.handlers._guest_thread import no_thread
from wasmoci.handlers._wasmtime.library import library
from wasmoci.handlers._wasmtime.prototypes import NO_FINALIZER, wasmtime_epoch_callback_t, without_result
from wasmoci.handlers._wasmtime.run_state import runs
from wasmoci.handlers._wasmtime.traps import STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.run_state import Run

_CONTINUE = 0
_AGAIN = 0.01  # seconds
_TICKS = 1  # until it asks again: the mark that it may go on


@without_result(wasmtime_epoch_callback_t)  # type: ignore[untyped-decorator]
def _asked(context: int, _data: int | None, delta: Any, kind: Any) -> None:
    run = runs[context]
    if run.signals is not None:
        try:
            run.signals.deliver()
        except BaseException as error:  # noqa: BLE001  a handler's, raised behind the engine
            run.fail(error)
    if not run.stopped:
        kind[0] = _CONTINUE
        delta[0] = _TICKS


_error = ctypes.cast(library.wasmtime_error_new, ctypes.c_void_p).value or 0
_message = ctypes.create_string_buffer(STOPPED.encode())
[_address] = addresses([Entry(_asked, Marked.THIRD, 0, _TICKS, _error, ctypes.addressof(_message))])
_entry = wasmtime_epoch_callback_t(_address)


def listen(store: Owned, context: int) -> None:
    """Make a store's guest check its run's state whenever the engine's epoch advances.

    Args:
        store: The store.
        context: Its context.
    """
    library.wasmtime_store_epoch_deadline_callback(store.pointer, _entry, None, NO_FINALIZER)
    library.wasmtime_context_set_epoch_deadline(context, 1)


@contextlib.contextmanager
def time_limit(seconds: float, run: Run, engine: Owned) -> Iterator[None]:
    """Stop a run at its time limit, by a thread that ends with the run.

    Args:
        seconds: Counted from here.
        run: What to stop.
        engine: Its engine, whose stores listen.
    """
    # Not by threading.Thread, which takes longer than many a guest: until it has begun, and to keep account of it.
    process = os.getpid()
    ended, gone = _thread.allocate_lock(), _thread.allocate_lock()
    ended.acquire()
    gone.acquire()

    def wait() -> None:
        try:
            pause = seconds
            while not ended.acquire(timeout=min(pause, _thread.TIMEOUT_MAX)):
                run.expired = True
                library.wasmtime_engine_increment_epoch(engine.pointer)
                # A guest that was just being told to go on, for the sake of another one, doesn't see this one.
                pause = _AGAIN
        finally:
            gone.release()

    try:
        _thread.start_new_thread(wait, ())
    except RuntimeError as error:
        raise no_thread(error) from error
    try:
        yield
    finally:
        if os.getpid() == process:  # a process that was forked within the run has no such thread
            ended.release()
            gone.acquire()
