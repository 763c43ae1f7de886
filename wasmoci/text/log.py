"""Reports warnings to the log, or to a listener. The log is imported when it is needed, as that costs milliseconds."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

_listeners: list[Callable[[str], object]] = []


def listen(function: Callable[[str], object]) -> None:
    """Pass this process's warnings to a function instead of the log."""
    _listeners[:] = [function]


def warn(name: str, message: str) -> None:
    """Warn about something that doesn't prevent a run.

    Args:
        name: The name of the logger.
        message: A sentence; characters that aren't printable are escaped.
    """
    message = one_line(message)
    if _listeners:
        _listeners[0](message)
        return
    import logging  # noqa: PLC0415  6 ms of each start, and most have nothing to warn of

    logging.getLogger(name).warning("%s", message)
