"""Forks a spare worker of the warm server ahead of time, which prepares the slow parts of the jail and waits.

There is at most one. It ends with the server, and is used for a run only once it has reported that it is ready, so that it never
makes a run slower.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from typing import TYPE_CHECKING, NoReturn

from wasmoci.isolation.jail import root

if TYPE_CHECKING:
    from collections.abc import Callable

_READY = b"ready"
_MOST = 1 << 12  # bytes of a handler's name


class Spares:
    """The server's side: forks a spare worker, and hands it out for a request.

    Args:
        wait: What a spare does with its socket, in a process of its own: see :func:`wait`.
    """

    def __init__(self, wait: Callable[[socket.socket], NoReturn]) -> None:
        self._wait = wait
        self._pid = 0
        self._process = -1
        self._socket: socket.socket | None = None
        self._is_ready = False
        self._is_possible = True
        self._mounts = _Mounts()

    @property
    def descriptors(self) -> set[int]:
        """The descriptors that other children of the server have to close."""
        return set() if self._socket is None else {self._process, self._socket.fileno()}

    def make(self) -> None:
        """Fork a spare worker, if there is none and it is possible."""
        if self._socket is not None or not self._is_possible:
            return
        self._mounts.have_changed()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                return
            if pid == 0:
                try:
                    ours.close()
                    self._mounts.close()
                    self._wait(theirs)
                finally:
                    os._exit(1)
        try:
            self._process = os.pidfd_open(pid)
        except OSError:
            ours.close()
            _kill(pid)
            return
        self._pid, self._socket, self._is_ready = pid, ours, False

    def take(self, reference: str, descriptors: list[int]) -> tuple[int, int] | None:
        """Give the spare worker a request.

        Args:
            reference: Where its handler comes from.
            descriptors: What comes with it.

        Returns:
            Its process id and process descriptor; None where there is none that is ready.
        """
        if self._socket is None or not self._looks_ready(self._socket):
            return None
        if self._mounts.have_changed():
            self.drop()
            return None
        try:
            socket.send_fds(self._socket, [reference.encode()], descriptors)
        except OSError:
            self.drop()
            return None
        self._socket.close()
        self._socket = None
        return self._pid, self._process

    def _looks_ready(self, channel: socket.socket) -> bool:
        if not self._is_ready:
            try:
                self._is_ready = channel.recv(len(_READY), socket.MSG_DONTWAIT) == _READY
            except BlockingIOError:
                return False
            except OSError:
                self._is_ready = False
            if not self._is_ready:  # it has ended
                self._is_possible = False
                self.drop()
        return self._is_ready

    def drop(self) -> None:
        """End the spare worker, because the server has loaded more since, or it isn't needed any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            os.close(self._process)
            _kill(self._pid)


def wait(channel: socket.socket, prepare: Callable[[], None], count: int) -> tuple[str, list[int]]:
    """In a spare worker: prepare, and wait for a request.

    Args:
        channel: The socket to the server.
        prepare: Prepares. When it fails there are no more spares.
        count: How many descriptors come.

    Returns:
        Where the handler comes from, and the descriptors.
    """
    prepare()
    channel.sendall(_READY)
    data, descriptors, _, _ = socket.recv_fds(channel, _MOST, count, socket.MSG_CMSG_CLOEXEC)
    channel.close()
    if len(descriptors) != count:  # nobody wants anything any more, or this process may open no more
        os._exit(1)
    return data.decode(), descriptors


class _Mounts:
    """Detects changes of the mounts, because a prepared process doesn't see later ones."""

    def __init__(self) -> None:
        self._file = -1
        if not root.may_mount():
            with contextlib.suppress(OSError):
                self._file = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)

    def have_changed(self) -> bool:
        """Return whether anything has changed since the last call."""
        if self._file < 0:
            return False
        poller = select.poll()
        poller.register(self._file, select.POLLPRI)
        return bool(poller.poll(0))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
