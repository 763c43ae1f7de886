"""Warnings: to the log, or to whoever listens. The log is imported when there is something to say; it costs milliseconds."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

_listeners: list[Callable[[str], object]] = []


def listen(function: Callable[[str], object]) -> None:
    """Have this process's warnings told to a function, in the place of the log."""
    _listeners[:] = [function]


def warn(name: str, message: str) -> None:
    """Warn of something that doesn't prevent a run.

    Args:
        name: The logger's.
        message: A sentence; characters that aren't printable are escaped.
    """
    message = one_line(message)
    if _listeners:
        _listeners[0](message)
        return
    import logging  # noqa: PLC0415  6 ms of each start, and most have nothing to warn of

    logging.getLogger(name).warning("%s", message)
