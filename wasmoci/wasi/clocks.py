"""Provides the clocks of a guest: those of the host, or virtual ones."""

from __future__ import annotations

import time

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # as in wasmoci.wasi.memory


class Clocks(Protocol):
    """The clocks of a guest, and its sleep. All times are in nanoseconds."""

    def realtime(self) -> int:
        """Return the time since 1970-01-01T00:00:00Z."""

    def monotonic(self) -> int:
        """Return the time since some point in the past; never decreases."""

    def sleep(self, duration: int) -> None:
        """Let ``duration`` pass, which is zero or more."""


class SystemClocks:
    """The clocks of the host. The monotonic one starts at zero, so that the guest doesn't learn the host's uptime."""

    def __init__(self) -> None:
        self._origin = time.monotonic_ns()

    def realtime(self) -> int:
        """Return the host's time of day."""
        return time.time_ns()

    def monotonic(self) -> int:
        """Return the time since this object was created."""
        return time.monotonic_ns() - self._origin

    def sleep(self, duration: int) -> None:
        """Suspend the host's thread, for a year at most: :func:`time.sleep` refuses what overflows its clock."""
        time.sleep(min(duration, 365 * 86_400 * 10**9) / 1e9)


class VirtualClocks:
    """Clocks that don't depend on the host's: time passes while the guest sleeps, and with each reading.

    Args:
        start: The initial time of day, in nanoseconds since 1970-01-01T00:00:00Z. The monotonic clock begins at zero.
        tick: Nanoseconds that pass with each reading.
    """

    def __init__(self, start: int = 0, tick: int = 0) -> None:
        self._start = start
        self._tick = tick
        self._passed = 0

    def realtime(self) -> int:
        """Return the time of day, wrapped as a 64-bit counter."""
        return (self._start + self._look()) % (1 << 64)

    def monotonic(self) -> int:
        """Return the time since the start."""
        return self._look() % (1 << 64)

    def sleep(self, duration: int) -> None:
        """Advance the time without waiting."""
        self._passed += duration

    def _look(self) -> int:
        seen = self._passed
        self._passed += self._tick
        return seen
