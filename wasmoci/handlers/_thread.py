"""Runs a guest on a thread of its own, with a native stack of a size that doesn't depend on the caller."""

from __future__ import annotations

import contextvars
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

_lock = threading.Lock()


def on_stack(function: Callable[[int], Result], size: int, smallest: int, *, abandon: Callable[[], None]) -> Result:
    """Call a function on a new thread, wait for it, and give what it returns or raises.

    Args:
        function: Takes the size of its stack.
        size: Bytes of stack that are wanted; the system gives them as they are touched.
        smallest: Bytes that will do where address space is limited.
        abandon: Called when the waiting is interrupted (Ctrl-C): the thread can't be stopped, and is left to itself.

    Raises:
        RuntimeError: The system doesn't even give the smallest.
    """
    context = contextvars.copy_context()
    results: list[Result] = []
    errors: list[BaseException] = []

    def body(given: int) -> None:
        try:
            results.append(context.run(function, given))
        except BaseException as error:  # noqa: BLE001  it is raised again, by the caller's thread
            import traceback  # noqa: PLC0415  costs time

            # What its frames hold may not be let go by another thread.
            traceback.clear_frames(error.__traceback__)
            errors.append(error)

    thread = _start(body, size, smallest)
    try:
        thread.join()
    except BaseException:
        abandon()
        raise
    if errors:
        raise errors.pop()
    return results.pop()


def _start(body: Callable[[int], None], size: int, smallest: int) -> threading.Thread:
    while True:
        thread = threading.Thread(target=body, args=(size,), name="wasmoci-guest", daemon=True)
        with _lock:
            before = threading.stack_size(size)
            try:
                thread.start()
            except RuntimeError:
                if size <= smallest:
                    raise
                size //= 2
            else:
                return thread
            finally:
                threading.stack_size(before)
