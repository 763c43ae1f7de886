"""Runs a function on a thread with a native stack that is large enough for wasm3's."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._guest_thread import on_stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

# wasm3 takes 160 bytes of the native stack for each call of the guest, and 48 for each loop that the caller is in, but
# counts its own stack only, of which a call takes 8 bytes at least. With this ratio a guest that is in 38 loops at each
# level of its recursion still meets the end of the counted stack first, and traps.
_RATIO = 256
_NATIVE_STACK = 1 << 30  # bytes
_SMALLEST_STACK = 16 << 20


def on_large_stack(function: Callable[[int], Result], abandon: Callable[[], None]) -> Result:
    """Call a function with the size of wasm3's stack, in bytes, that the thread's native stack permits."""
    return on_stack(lambda size: function(size // _RATIO), _NATIVE_STACK, _SMALLEST_STACK, abandon=abandon)
