"""Limits the processor time of a worker process by stopping and continuing it, where no cgroup is available."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:

    class _Process(Protocol):
        pid: int

        def signal(self, number: int) -> None: ...


_PERIOD = 0.1  # seconds, as the kernel's own
_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # fields of stat, behind the name


class Throttle:
    """The processor time of one process, with all of its threads.

    Args:
        process: The process.
        share: How many processors it may use, on average.
    """

    def __init__(self, process: _Process, share: float) -> None:
        self._process = process
        self._share = share
        self._began = time.monotonic()
        self._stopped = False

    def turn(self) -> float:
        """Stop the process, or continue it.

        Returns:
            Seconds after which it is to be called again.
        """
        used = self._used()
        ahead = used / self._share - (time.monotonic() - self._began)
        stop = ahead > _PERIOD
        if stop != self._stopped:
            self._process.signal(signal.SIGSTOP if stop else signal.SIGCONT)
            self._stopped = stop
        return max(ahead, _PERIOD) if stop else _PERIOD

    def _used(self) -> float:
        try:
            fields = Path("/proc", str(self._process.pid), "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return 0.0  # it has ended
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
