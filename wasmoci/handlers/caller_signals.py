"""Decides whether a guest is compiled so that a signal of its caller's can end it: in an interactive session, on the main thread.

Python runs signal handlers on the main thread only, and a guest that only computes never comes back to Python. Code that checks for an
interruption in each loop takes up to twice the time, which is too much for a program that nobody sits in front of; its guests get that
with a time limit.
"""

from __future__ import annotations

import signal
import sys
import threading
from _signal import getsignal  # type: ignore[import-not-found]  # signal's own looks up names, for each run

NUMBERS = tuple(
    map(int, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2))
)
"""The signals that programs have handlers for which raise."""


def handled() -> list[int]:
    """Those of them that Python has a handler for."""
    return [number for number in NUMBERS if callable(getsignal(number))]


def reach() -> bool:
    """Return whether a guest that is run here, on this thread, would keep the handlers of somebody's signals from running."""
    return (
        (hasattr(sys, "ps1") or bool(sys.flags.interactive))
        and sys.platform == "linux"
        and threading.current_thread() is threading.main_thread()
        and any(callable(getsignal(number)) for number in NUMBERS)
    )
