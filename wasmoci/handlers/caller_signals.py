"""Whether the signals of a guest's caller reach it here: Python runs their handlers on the main thread alone."""

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
    """Whether a guest that is run here, on this thread, would keep handlers of signals from running."""
    return (
        sys.platform == "linux"
        and threading.current_thread() is threading.main_thread()
        and any(callable(getsignal(number)) for number in NUMBERS)
    )
