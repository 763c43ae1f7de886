"""Implements ``poll_oneoff`` and ``sched_yield``: waiting for time and for descriptors."""

from __future__ import annotations

import select
import time

from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.wasi.abi import (
    EVENT,
    EVENT_HANGUP,
    SIZE,
    SUBSCRIPTION,
    SUBSCRIPTION_CLOCK,
    SUBSCRIPTION_CLOCK_ABSTIME,
    U32,
    Clockid,
    Errno,
    Eventtype,
    Rights,
)
from wasmoci.wasi.clocks import SystemClocks
from wasmoci.wasi.errno import FAILURES, Refusal, errno_of
from wasmoci.wasi.memory import region

if TYPE_CHECKING:
    from wasmoci.wasi.host import Host

_MAX_SUBSCRIPTIONS = 4096
_MAX_MILLISECONDS = (1 << 31) - 1
_MILLISECOND = 1_000_000  # nanoseconds

_RIGHTS = {Eventtype.FD_READ: Rights.FD_READ, Eventtype.FD_WRITE: Rights.FD_WRITE}
_FAILED = select.POLLHUP | select.POLLERR | select.POLLNVAL
_INTEREST = {Eventtype.FD_READ: select.POLLIN, Eventtype.FD_WRITE: select.POLLOUT}


class _Timer(NamedTuple):
    userdata: int
    remaining: int  # nanoseconds from now


class _Readiness(NamedTuple):
    userdata: int
    kind: int
    fd: int | None  # a descriptor of the host; None is always ready


class Poll:
    """Waiting for time to pass and for descriptors to be ready."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def sched_yield(self) -> int:
        """Let the host's other threads run."""
        time.sleep(0)
        return Errno.SUCCESS

    def poll_oneoff(self, subscriptions: int, events: int, count: int, size: int) -> int:
        """Wait until at least one event occurs; write the events and their number.

        A subscription that isn't supported makes the whole call fail, as in wasmtime, and so does an empty list.
        """
        try:
            view = self._host.view()
            count &= U32
            wanted = region(view, subscriptions, min(count * SUBSCRIPTION.size, U32))
            where = region(view, events, min(count * EVENT.size, U32))
            result = region(view, size, SIZE.size)
            if not 0 < count <= _MAX_SUBSCRIPTIONS:
                return Errno.INVAL
            waits = [self._wait(*record) for record in SUBSCRIPTION.iter_unpack(wanted)]
            happened = b"".join(self._poll(waits))
            where[: len(happened)] = happened
            SIZE.pack_into(result, 0, len(happened) // EVENT.size)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _wait(self, userdata: int, kind: int, body: bytes) -> _Timer | _Readiness:
        if kind == Eventtype.CLOCK:
            return _Timer(userdata, self._remaining(*SUBSCRIPTION_CLOCK.unpack(body)))
        if kind not in _RIGHTS:
            raise Refusal(Errno.INVAL)
        (fd,) = SIZE.unpack_from(body)
        entry = self._host.table.get(fd, Rights.POLL_FD_READWRITE)
        self._host.table.get(fd, _RIGHTS[kind])
        return _Readiness(userdata, kind, entry.fileno())

    def _remaining(self, clock: int, timeout: int, _precision: int, flags: int) -> int:
        now = {Clockid.REALTIME: self._host.clocks.realtime, Clockid.MONOTONIC: self._host.clocks.monotonic}.get(clock)
        if now is None or flags & ~SUBSCRIPTION_CLOCK_ABSTIME:
            raise Refusal(Errno.INVAL)
        return max(0, timeout - now()) if flags else timeout

    def _poll(self, waits: list[_Timer | _Readiness]) -> list[bytes]:
        timers = [wait for wait in waits if isinstance(wait, _Timer)]
        files = [wait for wait in waits if isinstance(wait, _Readiness)]
        shortest = min((timer.remaining for timer in timers), default=None)
        interest: dict[int, int] = {}
        for file in files:
            if file.fd is not None:
                interest[file.fd] = interest.get(file.fd, 0) | _INTEREST[file.kind]
        is_ready = any(file.fd is None for file in files)
        began = self._host.clocks.monotonic()
        ready = self._ready(interest, 0 if is_ready else shortest)
        elapsed = self._host.clocks.monotonic() - began
        if shortest is not None and not ready and not is_ready:
            elapsed = max(elapsed, shortest)
        events = []
        for wait in waits:
            if isinstance(wait, _Timer):
                if wait.remaining <= elapsed:
                    events.append(EVENT.pack(wait.userdata, Errno.SUCCESS, Eventtype.CLOCK, 0, 0))
            elif wait.fd is None:
                events.append(_event(wait, 0))
            elif ready.get(wait.fd, 0) & (_INTEREST[wait.kind] | _FAILED):
                events.append(_event(wait, ready[wait.fd]))
        return events

    def _ready(self, interest: dict[int, int], timeout: int | None) -> dict[int, int]:
        """Wait for descriptors of the host, for some nanoseconds or without end; return which are ready, and for what."""
        clocks = self._host.clocks
        if not interest:
            if timeout:
                clocks.sleep(timeout)
            return {}
        poller = select.poll()
        for fd, mask in interest.items():
            poller.register(fd, mask)
        if timeout is not None and not isinstance(clocks, SystemClocks):
            # Time of an injected clock passes only in its own sleep.
            ready = poller.poll(0)
            if not ready and timeout:
                clocks.sleep(timeout)
                ready = poller.poll(0)
            return dict(ready)
        if timeout is None:
            return dict(poller.poll())
        while True:
            pause = min(-(-timeout // _MILLISECOND), _MAX_MILLISECONDS)
            ready = poller.poll(pause)
            timeout -= pause * _MILLISECOND
            if ready or timeout <= 0:
                return dict(ready)


def _event(wait: _Readiness, state: int) -> bytes:
    error = Errno.BADF if state & select.POLLNVAL else Errno.SUCCESS
    flags = EVENT_HANGUP if state & select.POLLHUP else 0
    # At least one byte, as wasmtime reports, too.
    return EVENT.pack(wait.userdata, error, wait.kind, 0 if error else 1, flags)
