"""Writes to a running guest's standard input through a pipe."""

from __future__ import annotations

import os
import select
import threading
import time


class GuestInput:
    """Both ends of the pipe. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._open = {self.read_end, self._write_end}

    def release(self) -> None:
        """Close our copy of the guest's end."""
        self._close(self.read_end)

    def close(self) -> None:
        """End the input."""
        with self._lock:
            self._close(self._write_end)

    def write(self, data: bytes, timeout: float) -> str:
        """Write all bytes.

        Args:
            data: What the guest is to read.
            timeout: Seconds to wait for a guest that doesn't read.

        Returns:
            Why it could not be written; empty when it was.

        Raises:
            ValueError: The input is closed.
        """
        rest = memoryview(data)
        end = time.monotonic() + timeout
        with self._lock:
            if self._write_end not in self._open:
                raise ValueError("the guest's input is closed")
            poller = select.poll()
            poller.register(self._write_end, select.POLLOUT)
            while rest:
                try:
                    rest = rest[os.write(self._write_end, rest) :]
                except BlockingIOError:
                    remaining = end - time.monotonic()
                    if remaining <= 0 or not poller.poll(remaining * 1000):
                        return f"it did not read for {timeout:g} s"
                except BrokenPipeError:
                    return "it has closed its input, or ended"
        return ""

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.discard(descriptor)
            os.close(descriptor)
