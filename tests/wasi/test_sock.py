"""``sock_*`` over sockets that the host opened."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.wasi.harness import Guest
from wasmoci.wasi import Rights

if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKET = 3


@pytest.fixture
def pair() -> Iterator[tuple[Guest, socket.socket]]:
    """A guest with a connected socket, and the host's end of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs, Guest(sockets=[theirs]) as guest:
        yield guest, ours


@pytest.fixture
def listener() -> Iterator[tuple[Guest, str]]:
    """A guest with a listening socket, and its address."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("")  # Linux picks an abstract name
        sock.listen()
        with Guest(sockets=[sock.fileno()]) as guest:
            yield guest, sock.getsockname()


def receive(guest: Guest, size: int, flags: int = 0) -> bytes | str:
    """Receive into one buffer."""
    errno = guest.name("sock_recv", SOCKET, *guest.iovs((64, size)), flags, 0, 4)
    return guest.get(64, guest.number(0)) if errno == "SUCCESS" else errno


def test_sending_and_receiving(pair: tuple[Guest, socket.socket]) -> None:
    """By the functions for sockets and by those for any descriptor."""
    guest, peer = pair
    guest.put(64, b"hello world")
    assert guest.name("sock_send", SOCKET, *guest.iovs((70, 5), (64, 6)), 0, 0) == "SUCCESS"
    assert (guest.number(0), peer.recv(100)) == (11, b"worldhello ")
    assert guest.write(SOCKET, b"again") == 5
    assert peer.recv(100) == b"again"
    peer.send(b"answer")
    assert [receive(guest, 3, 1), receive(guest, 3), guest.read(SOCKET)] == [b"ans", b"ans", b"wer"]


def test_waiting_for_all(pair: tuple[Guest, socket.socket]) -> None:
    """``RECV_WAITALL`` fills the buffer, or ends with the connection."""
    guest, peer = pair
    peer.send(b"abc")
    peer.shutdown(socket.SHUT_WR)
    assert [receive(guest, 2, 2), receive(guest, 2, 2), receive(guest, 2, 2)] == [b"ab", b"c", b""]


def test_a_message_that_is_cut_is_reported() -> None:
    """In the flags that come back."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, Guest(sockets=[theirs]) as guest:
        ours.send(b"message")
        assert receive(guest, 3) == b"mes"
        assert guest.number(4, 2) == 1


@pytest.mark.parametrize(("how", "errno"), [(0, "INVAL"), (4, "INVAL"), (-1, "INVAL"), (1, "SUCCESS"), (3, "SUCCESS")])
def test_shutting_down(pair: tuple[Guest, socket.socket], how: int, errno: str) -> None:
    """One way or both."""
    guest, peer = pair
    assert guest.name("sock_shutdown", SOCKET, how) == errno
    if errno == "SUCCESS" and how & 2:
        assert peer.recv(1) == b""


def test_shutting_down_one_way_leaves_the_other(pair: tuple[Guest, socket.socket]) -> None:
    """After the guest has said all, it can still listen."""
    guest, peer = pair
    assert guest.name("sock_shutdown", SOCKET, 2) == "SUCCESS"
    peer.send(b"x")
    assert (peer.recv(1), receive(guest, 1)) == (b"", b"x")


def test_accepting(listener: tuple[Guest, str]) -> None:
    """A connection is a new descriptor, which says what it is."""
    guest, address = listener
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        assert guest.name("sock_accept", SOCKET, 0, 0) == "SUCCESS"
        connection = guest.number(0)
        assert connection == SOCKET + 1
        assert guest.name("fd_fdstat_get", connection, 8) == "SUCCESS"
        assert (guest.get(8, 1), guest.number(16, 8)) == (b"\6", Rights.CONNECTION)
        client.send(b"hi")
        assert guest.read(connection) == b"hi"
        assert guest.name("fd_close", connection) == "SUCCESS"
        assert client.recv(1) == b""


def test_not_waiting(listener: tuple[Guest, str]) -> None:
    """With ``NONBLOCK`` on the listener and on the connection, nothing waits."""
    guest, address = listener
    assert guest.name("fd_fdstat_set_flags", SOCKET, 4) == "SUCCESS"
    assert guest.name("sock_accept", SOCKET, 0, 0) == "AGAIN"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        assert guest.name("sock_accept", SOCKET, 4, 0) == "SUCCESS"
        assert guest.name("fd_read", SOCKET + 1, *guest.iovs((64, 1)), 0) == "AGAIN"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("sock_accept", (0, 0)), ("sock_recv", (0, 0, 0, 0, 4)), ("sock_send", (0, 0, 0, 0)), ("sock_shutdown", (1,))],
)
def test_other_descriptors_are_no_sockets(guest: Guest, name: str, arguments: tuple[int, ...]) -> None:
    """NOTSOCK for what is open, BADF for what isn't."""
    results = [guest.name(name, fd, *arguments) for fd in (0, 1, 3, 77)]
    assert results == ["NOTSOCK", "NOTSOCK", "NOTSOCK", "BADF"]


@pytest.mark.parametrize(
    ("name", "arguments", "errno"),
    [
        ("sock_accept", (0, 0), "NOTCAPABLE"),
        ("sock_recv", (0, 0, 4, 0, 4), "INVAL"),
        ("sock_send", (0, 0, 1, 0), "INVAL"),
        ("sock_recv", (65536, 1, 0, 0, 4), "FAULT"),
        ("sock_send", (0, 0, 0, 65536), "FAULT"),
        ("fd_seek", (0, 0, 0), "SPIPE"),
        ("fd_sync", (), "BADF"),
        ("fd_advise", (0, 0, 0), "BADF"),
    ],
)
def test_odd_calls(pair: tuple[Guest, socket.socket], name: str, arguments: tuple[int, ...], errno: str) -> None:
    """What a connection doesn't do, and flags that don't exist."""
    assert pair[0].name(name, SOCKET, *arguments) == errno


def test_the_hosts_sockets_stay_open() -> None:
    """The guest has a duplicate."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with Guest(sockets=[theirs]) as guest:
            assert guest.name("fd_close", SOCKET) == "SUCCESS"
        theirs.send(b"x")
        assert ours.recv(1) == b"x"
