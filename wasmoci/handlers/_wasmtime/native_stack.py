"""Runs guests on a thread with enough native stack for wasmtime, whose guests use half a MiB of it.

A guest that recurses on a thread with less stack would overflow it, which crashes the process.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from _thread import get_native_id

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._guest_thread import on_stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

_ENOUGH = (
    2 << 20
)  # bytes: for a guest, for the call-backs that it calls at the end of its own, and for who has called us
_WANTED = 8 << 20
_ATTRIBUTES = 256  # bytes, more than pthread_attr_t has anywhere
_libc = ctypes.CDLL(None)
_libc.pthread_self.restype = ctypes.c_void_p
_libc.pthread_getattr_np.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
_thread: Any = threading.local()
_running: set[int] = set()  # the system's ids of the threads that run a guest, of which no greenlet has one of its own


def with_room(function: Callable[[], Result], abandon: Callable[[], None], *, fresh: bool) -> Result:
    """Call a function with enough stack for a guest, on this thread or else on another one.

    Args:
        function: Runs a guest.
        abandon: See :func:`on_stack`.
        fresh: Whether this thread was just started by :mod:`threading`, for this call.
    """
    # A run within a run has what the outer one has left.
    thread = get_native_id()
    if thread not in _running and (_fresh_has_enough(threading.stack_size()) if fresh else _has_enough()):
        return _marked(function, thread)
    return on_stack(lambda _size: _marked(function, get_native_id()), _WANTED, _ENOUGH, abandon=abandon)


def _marked(function: Callable[[], Result], thread: int) -> Result:
    _running.add(thread)
    try:
        return function()
    finally:
        _running.discard(thread)


def _has_enough() -> bool:
    enough: bool | None = getattr(_thread, "has_enough", None)
    if enough is None:
        enough = _thread.has_enough = _size() >= _ENOUGH
    return enough


@functools.cache
def _fresh_has_enough(_wanted: int) -> bool:
    """The same for threads that are started with a size of :func:`threading.stack_size`; asked on one of them."""
    return _size() >= _ENOUGH


def _size() -> int:
    """Return the size of this thread's stack in bytes."""
    attributes = ctypes.create_string_buffer(_ATTRIBUTES)
    if _libc.pthread_getattr_np(_libc.pthread_self(), attributes):
        return 0
    try:
        address, size = ctypes.c_void_p(), ctypes.c_size_t()
        _libc.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size))
        return size.value
    finally:
        _libc.pthread_attr_destroy(attributes)
