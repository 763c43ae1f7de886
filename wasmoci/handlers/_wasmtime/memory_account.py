"""Counts the linear memory of a run, and how often its limit has refused more."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasmtime.library import library

if TYPE_CHECKING:
    from wasmoci.handlers._wasmtime.library import Owned

_PATIENCE = 10_000  # refusals, after which a guest that goes on asking is ended
_LONGEST = 1 << 36  # bytes that a 64-bit memory can have, under a limit that is higher still


class MemoryAccount:
    """The memory that a run uses, and its limit.

    Args:
        limit: Bytes of linear memory, all of the run's memories together.
        engine: The engine of the run, whose stores listen for interruption.

    Attributes:
        refusals: How often the limit refused memory.
        open: Whether memory is booked; not so for memory of our own.
    """

    def __init__(self, limit: int, engine: Owned) -> None:
        self._limit = limit
        self._engine = engine
        self._used = 0
        self.refusals = 0
        self.open = True

    @property
    def exhausted(self) -> bool:
        """Whether the guest was refused memory so often that it probably requests it forever."""
        return self.refusals > _PATIENCE

    def book(self, size: int) -> bool:
        """Add bytes; return False when the limit refuses them."""
        if not self.open:
            return True
        if self._used + size > self._limit:
            self.refusals += 1
            if self.exhausted:
                self.interrupt()
            return False
        self._used += size
        return True

    def interrupt(self) -> None:
        """Make the guest check its run's state."""
        library.wasmtime_engine_increment_epoch(self._engine.pointer)

    def reserve(self, wanted: int, *, is_64: bool) -> int:
        """How much address space a memory is to have, which must never move, when the engine wants so much."""
        return max(wanted, min(self._limit, _LONGEST)) if is_64 else wanted
