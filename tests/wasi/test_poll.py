"""``poll_oneoff`` waits for clocks and descriptors, and never turns in circles."""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.wasi.harness import READ, ROOT, WRITE, ByteMemory, FixedClocks, Guest
from wasmoci.wasi import SystemClocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = 10**9


def clock(userdata: int, timeout: int, *, clock_id: int = 1, flags: int = 0) -> bytes:
    """A subscription to a clock."""
    return struct.pack("<QB7xI4xQQH6x", userdata, 0, clock_id, timeout, 0, flags)


def ready(userdata: int, fd: int, kind: int = 1) -> bytes:
    """A subscription to a descriptor's being readable (1) or writable (2)."""
    return struct.pack("<QB7xI28x", userdata, kind, fd)


def poll(guest: Guest, *subscriptions: bytes) -> str | list[tuple[int, int, int, int, int]]:
    """Give the events (userdata, errno, type, bytes, flags), or the errno of the call."""
    guest.put(0, b"".join(subscriptions))
    errno = guest.name("poll_oneoff", 0, 8192, len(subscriptions), 16384)
    if errno != "SUCCESS":
        return errno
    return list(struct.iter_unpack("<QHB5xQH6x", guest.get(8192, 32 * guest.number(16384))))


@pytest.fixture
def clocks() -> FixedClocks:
    """Time that only sleeping lets pass."""
    return FixedClocks()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """An empty pipe of the host's."""
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


@pytest.mark.parametrize(
    ("subscriptions", "events", "slept"),
    [
        ([clock(7, SECOND)], [7], [SECOND]),
        ([clock(7, SECOND), clock(8, 2 * SECOND)], [7], [SECOND]),
        ([clock(7, 2 * SECOND), clock(8, SECOND)], [8], [SECOND]),
        ([clock(7, SECOND), clock(8, SECOND)], [7, 8], [SECOND]),
        ([clock(7, 0)], [7], []),
        ([clock(7, 0), clock(8, SECOND)], [7], []),
        ([clock(7, 1001, flags=1)], [7], [1]),
        ([clock(7, 999, flags=1)], [7], []),
        ([clock(7, 1_600_000_000 * SECOND + 1500, clock_id=0, flags=1)], [7], [500]),
        ([clock(7, SECOND, clock_id=0)], [7], [SECOND]),
        ([clock(7, 2**64 - 1)], [7], [2**64 - 1]),
    ],
)
def test_waiting_for_clocks(
    clocks: FixedClocks, subscriptions: list[bytes], events: list[int], slept: list[int]
) -> None:
    """The earliest fires, with all that are due by then; relative and absolute, of either clock."""
    with Guest(clocks=clocks) as guest:
        assert poll(guest, *subscriptions) == [(userdata, 0, 0, 0, 0) for userdata in events]
    assert clocks.slept == slept


@pytest.mark.parametrize(
    ("subscriptions", "errno"),
    [
        ([], "INVAL"),
        ([clock(7, 1, clock_id=2)], "INVAL"),
        ([clock(7, 1, clock_id=9)], "INVAL"),
        ([clock(7, 1, flags=2)], "INVAL"),
        ([ready(7, 1, 3)], "INVAL"),
        ([ready(7, 77)], "BADF"),
        ([ready(7, ROOT)], "BADF"),
        ([ready(7, 0, 2)], "BADF"),
        ([ready(7, 1, 1)], "BADF"),
        ([clock(7, SECOND), ready(7, 77)], "BADF"),
    ],
)
def test_what_cannot_be_waited_for_fails_at_once(
    root: Path, clocks: FixedClocks, subscriptions: list[bytes], errno: str
) -> None:
    """The whole call, as in wasmtime, and without waiting for the rest."""
    with Guest(root, clocks=clocks) as guest:
        assert poll(guest, *subscriptions) == errno
    assert clocks.slept == []


def test_too_many_subscriptions_are_refused() -> None:
    """A guest can't have the host build more than it has memory for."""
    with Guest(memory=ByteMemory(4097 * 48)) as guest:
        guest.put(0, bytes(4097 * 48))  # clocks that are due
        assert guest.name("poll_oneoff", 0, 0, 4096, 4096 * 48) == "SUCCESS"
        assert guest.number(4096 * 48) == 4096
        guest.put(0, bytes(4097 * 48))
        assert guest.name("poll_oneoff", 0, 0, 4097, 0) == "INVAL"
        assert [guest.name("poll_oneoff", 0, 0, count, 0) for count in (4098, -1)] == ["FAULT", "FAULT"]


def test_streams_of_the_host_and_files_are_always_ready(guest: Guest) -> None:
    """One byte can be read or written at least."""
    fd = guest.open("f", 1)
    events = poll(guest, ready(1, 0), ready(2, 1, 2), ready(3, 2, 2), ready(4, fd), ready(5, fd, 2), clock(6, SECOND))
    assert events == [(1, 0, 1, 1, 0), (2, 0, 2, 1, 0), (3, 0, 2, 1, 0), (4, 0, 1, 1, 0), (5, 0, 2, 1, 0)]


def test_a_pipe_gets_ready_while_waiting(pipe: tuple[int, int]) -> None:
    """The wait ends when bytes come, long before the clock."""
    reader, writer = pipe
    with Guest(stdin=reader) as guest:
        timer = threading.Timer(0.05, os.write, (writer, b"x"))
        timer.start()
        assert poll(guest, ready(1, 0), clock(2, 60 * SECOND)) == [(1, 0, 1, 1, 0)]
        timer.join()


def test_an_empty_pipe_waits_for_the_clock(pipe: tuple[int, int]) -> None:
    """It isn't ready, and the time that was asked for has passed."""
    with Guest(stdin=pipe[0]) as guest:
        began = time.monotonic_ns()
        assert poll(guest, ready(1, 0), clock(2, SECOND // 50)) == [(2, 0, 0, 0, 0)]
        assert time.monotonic_ns() - began >= SECOND // 50


def test_an_empty_pipe_and_injected_clocks(pipe: tuple[int, int], clocks: FixedClocks) -> None:
    """The injected sleep is what waits."""
    with Guest(stdin=pipe[0], clocks=clocks) as guest:
        assert poll(guest, ready(1, 0), clock(2, SECOND)) == [(2, 0, 0, 0, 0)]
        os.write(pipe[1], b"x")
        assert poll(guest, ready(1, 0), clock(2, SECOND)) == [(1, 0, 1, 1, 0)]
    assert clocks.slept == [SECOND]


def test_the_end_of_a_pipe_is_a_hangup(pipe: tuple[int, int]) -> None:
    """A reader learns that nothing will come, with or without bytes left."""
    reader, writer = pipe
    os.close(writer)
    with Guest(stdin=reader) as guest:
        assert poll(guest, ready(1, 0)) == [(1, 0, 1, 1, 1)]


def test_one_descriptor_for_both_directions(root: Path) -> None:
    """Two subscriptions to one descriptor don't get in each other's way."""
    os.mkfifo(root / "fifo")
    with Guest(root) as guest:
        fd = guest.open("fifo", 0, READ | WRITE | 1 << 27)
        assert poll(guest, ready(1, fd), ready(2, fd, 2)) == [(2, 0, 2, 1, 0)]
        guest.write(fd, b"x")
        assert poll(guest, ready(1, fd), ready(2, fd, 2)) == [(1, 0, 1, 1, 0), (2, 0, 2, 1, 0)]


def test_system_clocks_start_at_zero_and_sleep() -> None:
    """The host's uptime isn't told, and a sleep takes as long as it says."""
    clocks = SystemClocks()
    assert clocks.monotonic() < 60 * SECOND
    assert abs(clocks.realtime() - time.time_ns()) < 60 * SECOND
    before = clocks.monotonic()
    clocks.sleep(SECOND // 100)
    assert clocks.monotonic() - before >= SECOND // 100
