"""Runs a function on a thread with a native stack large enough for an interpreter that recurses with its guest."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

# wasm3 takes 160 bytes of the native stack for each call of the guest, and 48 for each loop that the caller is in, but
# counts its own stack only, of which a call takes 8 bytes at least. With this ratio a guest in 38 loops at each level of
# its recursion still meets the end of the counted stack first, and traps. Neither is touched before it is needed.
NATIVE_STACK = 1 << 30
RATIO = 256
_SMALLEST = 16 << 20

_lock = threading.Lock()


def on_large_stack(function: Callable[[int], Result], abandon: Callable[[], None]) -> Result:
    """Call a function on a thread of its own, wait for it, and give what it returns or raises.

    Args:
        function: Takes the bytes of stack that the guest may have.
        abandon: Called when the waiting is interrupted (Ctrl-C): the thread can't be stopped, and is left to itself.

    Raises:
        RuntimeError: The system has no stack even of 16 MiB to give.
    """
    context = contextvars.copy_context()
    results: list[Result] = []
    errors: list[BaseException] = []

    def body(size: int) -> None:
        try:
            results.append(context.run(function, size // RATIO))
        except BaseException as error:  # noqa: BLE001  it is raised again, by the caller's thread
            errors.append(error)

    thread = _start(body)
    try:
        thread.join()
    except BaseException:
        abandon()
        raise
    if errors:
        raise errors.pop()
    return results.pop()


def _start(body: Callable[[int], None]) -> threading.Thread:
    size = NATIVE_STACK
    while True:
        thread = threading.Thread(target=body, args=(size,), name="wasmoci-wasm3", daemon=True)
        with _lock:
            before = threading.stack_size(size)
            try:
                thread.start()
            except RuntimeError:
                # Where address space is limited, a smaller stack may still be had.
                if size <= _SMALLEST:
                    raise
                size //= 2
            else:
                return thread
            finally:
                threading.stack_size(before)
