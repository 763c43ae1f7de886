"""Implements ``clock_*``: the realtime and the monotonic clock."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import TIMESTAMP, U32, U64, Clockid, Errno
from wasmoci.wasi.errno import FAILURES, Refusal, errno_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.wasi.host import Host

_RESOLUTION = 1  # nanoseconds; as wasmtime reports for both clocks


class Clock:
    """The guest's clocks."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._now = {Clockid.REALTIME: host.clocks.realtime, Clockid.MONOTONIC: host.clocks.monotonic}

    def clock_res_get(self, clock: int, resolution: int) -> int:
        """Write a clock's resolution in nanoseconds."""
        try:
            view = self._host.view()
            self._clock(clock)
            TIMESTAMP.pack_into(view, resolution & U32, _RESOLUTION)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def clock_time_get(self, clock: int, precision: int, time: int) -> int:  # noqa: ARG002
        """Write a clock's time in nanoseconds; ``precision`` is the permitted lag, which is never used."""
        try:
            TIMESTAMP.pack_into(self._host.view(), time & U32, self._clock(clock)() & U64)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _clock(self, clock: int) -> Callable[[], int]:
        now = self._now.get(clock)
        if now is None:  # wasmtime returns BADF for the CPU clocks, too
            cpu = (Clockid.PROCESS_CPUTIME, Clockid.THREAD_CPUTIME)
            raise Refusal(Errno.BADF if clock in cpu else Errno.INVAL)
        return now
