"""Manages the warm servers of a program, one for each environment that it has had."""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import signal
import sys
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.errors import EngineError
from wasmoci.isolation.warm_worker import ServerGone, WarmServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Hashable, Iterable

    from wasmoci.isolation.warm_worker import WarmWorker

_KEPT = 4
_RESOURCES = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CPU)
_READ_AT_START = ("LD_", "GLIBC_TUNABLES", "MALLOC_")  # variables that nobody looks at later
_ATTEMPTS = 3


class Servers:
    """Servers that are started on demand, and again when they have ended. Safe to use from several threads, and after a fork.

    A worker is to find what it would find if it were started now. Its environment comes with the request; for what can't be
    changed later, such as the search path and the user, there is a server each, of which the last few are kept.

    Args:
        eager: Whether the very first run takes its worker from a server. Otherwise it gets a process of its own, for a program
            that runs a single guest is done before a server would be worth its start.
    """

    def __init__(self, *, eager: bool) -> None:
        self._eager = eager
        self._lock = threading.Lock()
        self._servers: OrderedDict[Hashable, WarmServer] = OrderedDict()
        self._workers: weakref.WeakSet[WarmWorker] = weakref.WeakSet()
        self._seen = False
        _all.add(self)

    def fork(
        self, reference: str, channel: socket.socket, streams: tuple[int, int, int], *, jailed: bool = False
    ) -> WarmWorker | None:
        """Fork a worker from the server for the current environment; see :meth:`WarmServer.fork`.

        Args:
            reference: As for :meth:`WarmServer.fork`.
            channel: As for :meth:`WarmServer.fork`.
            streams: As for :meth:`WarmServer.fork`.
            jailed: Whether it goes to the jail, for which there are servers that never had an environment or another guest's module.

        Returns:
            None for a run that is to have a process of its own.
        """
        with self._lock:
            first, self._seen = not self._seen, True
        if (first and not self._eager) or not sys.executable:
            return None
        key = _inherited(), jailed
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(ServerGone):
                server = self._get(key, jailed=jailed)
                try:
                    process = server.fork(reference, channel, streams)
                except ServerGone:
                    self._drop(key, server)
                else:
                    with self._lock:
                        self._workers.add(process)
                    return process
        return None

    def warm_up(self, references: Iterable[str] = (), *, jailed: bool = False) -> None:
        """Start the server for the current environment.

        Args:
            references: Handlers for it to load, as for :meth:`WarmServer.fork`.
            jailed: As for :meth:`fork`.
        """
        with self._lock:
            self._seen = True
        with contextlib.suppress(ServerGone):
            server = self._get((_inherited(), jailed), jailed=jailed)
            for reference in references:
                server.load(reference)

    def close(self) -> None:
        """Kill the running workers, end all servers, and wait for their end."""
        with self._lock:
            servers = list(self._servers.values())
            self._servers.clear()
            workers = list(self._workers)
        for worker in workers:
            worker.signal(signal.SIGKILL)
        for server in servers:
            server.end()

    def forget(self) -> None:
        """After a fork, forget the parent's servers."""
        self._lock = threading.Lock()
        self._workers = weakref.WeakSet()
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _get(self, key: Hashable, *, jailed: bool) -> WarmServer:
        with self._lock:
            server = self._servers.get(key)
            if server is None:
                path = [entry for entry in sys.path if isinstance(entry, str)]
                server = self._servers[key] = WarmServer(path, jailed=jailed)
                while len(self._servers) > _KEPT:
                    _, oldest = self._servers.popitem(last=False)
                    oldest.close()
            else:
                self._servers.move_to_end(key)
            return server

    def _drop(self, key: Hashable, server: WarmServer) -> None:
        with self._lock:
            if self._servers.get(key) is server:
                del self._servers[key]
                server.close()


class OnlyForked:
    """Servers that only fork workers, and never start a new process, which would end with the thread that started it.

    Args:
        servers: Those that fork.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def fork(
        self, reference: str, channel: socket.socket, streams: tuple[int, int, int], *, jailed: bool = False
    ) -> WarmWorker:
        """See :meth:`Servers.fork`.

        Raises:
            EngineError: No server can be started.
        """
        self._servers.warm_up(jailed=jailed)
        process = self._servers.fork(reference, channel, streams, jailed=jailed)
        if process is None:
            raise EngineError("the server that forks worker processes can't be started, or ends again and again")
        return process


def _inherited() -> Hashable:
    """Return the state that a new process inherits and a worker could notice."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    umask = next((line for line in status.splitlines() if line.startswith("Umask:")), "")
    return (
        sys.executable,
        tuple(entry for entry in sys.path if isinstance(entry, str)),
        tuple((name, value) for name, value in os.environ.items() if name.startswith(_READ_AT_START)),
        (os.getresuid(), os.getresgid(), tuple(os.getgroups()), os.getpgrp()),
        umask,
        tuple(resource.getrlimit(kind) for kind in _RESOURCES),
    )


def _forget() -> None:
    for servers in _all:
        servers.forget()


def _close() -> None:
    for servers in list(_all):
        servers.close()


_all: weakref.WeakSet[Servers] = weakref.WeakSet()
DEFAULT = Servers(eager=False)
"""Those of runs that bring no pool of their own."""
atexit.register(_close)
os.register_at_fork(after_in_child=_forget)
