"""Provides hooks and limits of a run through context variables, in addition to the contract's arguments."""

from __future__ import annotations

import contextlib
import contextvars
import time

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from wasmoci.limits import Limits
    from wasmoci.wasm.module import Module

compile_limits: contextvars.ContextVar[tuple[float | None, int | None]] = contextvars.ContextVar(
    "compile_limits", default=(None, None)
)
"""Seconds and bytes that an engine may use to compile which does so in a process of its own, at the start of a run."""

inline: contextvars.ContextVar[bool] = contextvars.ContextVar("inline", default=False)
"""Whether the run is in its caller's process, for which the engine is to be interruptible by the caller's signals."""

_on_start: contextvars.ContextVar[Callable[[], None] | None] = contextvars.ContextVar("on_start", default=None)
_on_load: contextvars.ContextVar[Callable[[Any, Module, Limits], None] | None] = contextvars.ContextVar(
    "on_load", default=None
)


@contextlib.contextmanager
def on_start(function: Callable[[], None]) -> Iterator[None]:
    """Register a function to be called when an entry function starts in the context."""
    token = _on_start.set(function)
    try:
        yield
    finally:
        _on_start.reset(token)


@contextlib.contextmanager
def on_load(function: Callable[[Any, Module, Limits], None]) -> Iterator[None]:
    """Register a function to be called for each module that is executed in the context, before its engine gets it."""
    token = _on_load.set(function)
    try:
        yield
    finally:
        _on_load.reset(token)


def loading() -> Callable[[Any, Module, Limits], None] | None:
    """Return the function to be called for a module; see :func:`on_load`."""
    return _on_load.get()


class Clock:
    """Measures the time from the start of the entry function, and calls the hook; see :func:`on_start`."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        # Taken here: an engine may call the guest on a thread of its own, which has another context.
        self._tell = _on_start.get()

    def start(self) -> None:
        """Start the measurement, before the entry function is called."""
        self._began = time.monotonic()
        if self._tell is not None:
            self._tell()

    def elapsed(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._began
