"""Runs a guest on a separate thread, for a native stack of known size, or away from the thread that handles signals."""

from __future__ import annotations

import contextvars
import os
import threading

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

_AGAIN = 0.01  # seconds
_lock = threading.Lock()


def on_stack(function: Callable[[int], Result], size: int, smallest: int, *, abandon: Callable[[], None]) -> Result:
    """Call a function on a new thread, wait for it, and return its result or raise its exception.

    Args:
        function: Takes the size of its stack.
        size: Bytes of stack that are wanted; the system gives them as they are touched.
        smallest: Bytes that will do where address space is limited.
        abandon: Called when the waiting is interrupted (Ctrl-C): the thread can't be stopped, and is left to itself.

    Raises:
        EngineError: The system doesn't even give the smallest.
    """
    call = _Call(function)
    thread = _start(call, size, smallest)
    try:
        thread.join()
    except BaseException:
        abandon()
        raise
    result: Result = call.outcome()
    return result


def off_main_thread(function: Callable[[], Result], *, stop: Callable[[], None]) -> Result:
    """Call a function on a thread other than the main one, on which signal handlers run.

    A handler may begin, and raise, before the first line of any Python function: then an engine that has called it finds
    anything in the place of the result.

    Args:
        function: What to call.
        stop: Called when a handler ends the waiting, again and again until the function has ended.

    Raises:
        BaseException: What the function raised, or a handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return function()
    return on_thread(function, stop=stop)


def on_thread(function: Callable[[], Result], *, stop: Callable[[], None]) -> Result:
    """Call a function on another thread, and return its result; see :func:`off_main_thread`.

    Raises:
        EngineError: There is no thread to be had.
        BaseException: What the function raised, or a signal's handler.
    """
    call = _Call(function)
    try:
        thread = threading.Thread(target=call, name="wasmoci-guest", daemon=True)
        thread.start()
    except RuntimeError as error:
        raise no_thread(error) from error
    try:
        call.ended.wait()  # a join that is interrupted takes the thread for ended
    except BaseException:
        while not call.ended.wait(_AGAIN):
            stop()
        raise
    finally:
        thread.join()
    result: Result = call.outcome()
    return result


def no_thread(error: RuntimeError) -> EngineError:
    """What it means for a guest that Python can't start a thread: the system has none, or it is none of this interpreter's powers."""
    return EngineError(
        f"no thread can be started, which the guest needs: {error}", hint="choose the isolation 'process'"
    )


class _Call:
    """A call on another thread, in the caller's context.

    Args:
        function: What is called.

    Attributes:
        ended: Set when it has ended.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.ended = threading.Event()
        self._function = function
        self._context = contextvars.copy_context()
        self._results: list[Any] = []
        self._errors: list[BaseException] = []

    def __call__(self, *args: Any) -> None:
        process = os.getpid()
        try:
            self._results.append(self._context.run(self._function, *args))
        except BaseException as error:  # noqa: BLE001  it is raised again, by the caller's thread
            import traceback  # noqa: PLC0415  2.4 ms (tokenize): most guests raise nothing

            # What its frames hold may not be let go by another thread.
            traceback.clear_frames(error.__traceback__)
            self._errors.append(error)
        finally:
            if os.getpid() != process:
                # Forked within the call. Nobody waits for it here, and the end of the only thread would be taken for success.
                os._exit(EngineError.exit_status)
            self.ended.set()

    def outcome(self) -> Any:
        """Return its result, or raise its exception."""
        if self._errors:
            raise self._errors.pop()
        return self._results.pop()


def _start(body: Callable[[int], None], size: int, smallest: int) -> threading.Thread:
    while True:
        with _lock:
            before = threading.stack_size(size)
            try:
                thread = threading.Thread(target=body, args=(size,), name="wasmoci-guest", daemon=True)
                thread.start()
            except RuntimeError as error:
                if size <= smallest:
                    raise no_thread(error) from error
                size //= 2
            else:
                return thread
            finally:
                threading.stack_size(before)
