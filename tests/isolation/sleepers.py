"""Counts the guests ``sleep`` that run at a time."""

from __future__ import annotations

import threading


class Running:
    """Takes the output of several: each says that it has begun, and when it is done. A chunk may hold both.

    Attributes:
        begun: How many have begun.
        done: How many are done.
        most: How many there were at a time, at most.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begun = self.done = self.most = 0

    def take(self, data: bytes) -> None:
        """Take a chunk of whole lines."""
        with self._lock:
            self.begun += data.count(b"begun")
            self.most = max(self.most, self.begun - self.done)
            self.done += data.count(b"done")
