"""The warm server: a process that has loaded the engines, and forks a worker for each run.

It always has a single thread: a fork copies only one, and a lock that another thread holds would stay locked in the worker. So
it neither compiles nor runs anything; it loads a handler only after a worker has loaded it and still had a single thread. It ends
with the program that has started it, and its workers end with it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from wasmoci.handlers.base import BaseHandler, from_reference
from wasmoci.isolation import spare, worker_main, worker_request
from wasmoci.isolation.jail import entering
from wasmoci.isolation.jail.preloading import practise, rehearse, run_ahead
from wasmoci.isolation.warm_protocol import DESCRIPTORS, FORK, FORKED, MAX_REQUEST, READY, REMEMBER, STATUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers.contract import EngineHandler

IDLE = 60.0
"""Seconds without a worker after which the server ends; the next run starts another one."""

_REPORT = 1 << 12
_LOOKS = 20
_PAUSE = 0.001


class _Worker:
    """A worker of the server's.

    Args:
        process: Its process descriptor.
        pid: Its process id.
        lifeline: The socket to whoever wants it; it is killed when that is closed.
        reference: Where its handler comes from.
    """

    def __init__(self, process: int, pid: int, lifeline: socket.socket, reference: str) -> None:
        self.process = process
        self.pid = pid
        self.lifeline = lifeline
        self.reference = reference


class Server:
    """The loop of the server.

    Args:
        control: The socket on which requests come: a handler's name, and what comes with it is for a worker, or the request of a
            run whose program is to be kept at hand. Its end asks the server to end with its last worker.
        caller: The process descriptor of the program that has started it.
        jailed: Whether its workers go to the jail.
    """

    def __init__(self, control: socket.socket, caller: int, *, jailed: bool) -> None:
        self._pid = os.getpid()
        self._jailed = jailed
        self._control = control
        self._caller = caller
        self._workers: dict[int, _Worker] = {}
        self._handlers: dict[str, EngineHandler] = {}
        self._fit: set[str] = set()
        self._accepts = True
        self._spares = spare.Spares(self._wait)
        self._selector = selectors.DefaultSelector()
        self._reports, self._report = os.pipe()
        self._watch(control, self._take)
        self._watch(caller, self._leave)
        self._watch(self._reports, self._hear)

    def serve(self) -> NoReturn:
        """Serve requests until the caller is gone and all workers have ended."""
        self._control.sendall(READY)
        while self._accepts or self._workers:
            events = self._selector.select(IDLE)
            if not events and not self._workers:
                break
            for key, _ in events:
                key.data()
            if self._fit:
                self._load()
            if self._jailed and self._accepts and self._handlers:
                self._spares.make()
        self._leave()

    def _watch(self, file: Any, ready: Callable[[], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, ready)

    def _leave(self) -> NoReturn:
        self._spares.drop()
        os._exit(0)  # the kernel ends the workers

    def _take(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MAX_REQUEST, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            data = b""
        if not data:
            self._selector.unregister(self._control)
            self._accepts = False
            self._spares.drop()
            return
        try:
            # Where this process may open no more, some descriptors are missing; whoever asked sees that nothing comes of it.
            if data[:1] == FORK and len(descriptors) == DESCRIPTORS:
                self._fork(data[1:].decode(), descriptors)
            elif data[:1] == REMEMBER and descriptors:
                self._remember(data[1:].decode(), descriptors[0])
        except OSError:
            pass  # no process or descriptor is to be had now
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _fork(self, reference: str, descriptors: list[int]) -> None:
        lifeline = socket.socket(fileno=os.dup(descriptors[0]))
        try:
            pid, process = self._spares.take(reference, descriptors) or self._forked(reference, descriptors, lifeline)
        except OSError:
            lifeline.close()
            raise
        self._workers[pid] = made = _Worker(process, pid, lifeline, reference)
        with contextlib.suppress(OSError):  # whoever asked is gone, which the lifeline tells as well
            socket.send_fds(lifeline, [FORKED.pack(pid)], [process])
        self._watch(process, lambda: self._reap(made))
        self._watch(lifeline, lambda: self._cut(made))

    def _forked(self, reference: str, descriptors: list[int], lifeline: socket.socket) -> tuple[int, int]:
        """Return a worker's process id and process descriptor."""
        pid = os.fork()
        if pid == 0:
            try:
                self._let_go({lifeline.fileno(), *self._spares.descriptors})
                self._work(reference, descriptors)
            finally:
                os._exit(1)
        try:
            return pid, os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def _wait(self, channel: socket.socket) -> NoReturn:
        """Become a spare worker, and then a worker."""
        worker_request.die_with(self._pid)
        self._let_go(set())
        reference, descriptors = spare.wait(channel, self._prepare, DESCRIPTORS)
        self._work(reference, descriptors)

    def _prepare(self) -> None:
        def run(directory: str) -> None:
            for handler in self._handlers.values():
                run_ahead(handler, directory)

        entering.prepare(run)

    def _let_go(self, others: set[int]) -> None:
        """In a child: close the server's descriptors."""
        self._selector.close()
        self._control.close()
        for other in self._workers.values():
            os.close(other.process)
            other.lifeline.close()
        for descriptor in (self._caller, self._reports, *others):
            os.close(descriptor)

    def _work(self, reference: str, descriptors: list[int]) -> NoReturn:
        """Become a worker, in a child."""
        lifeline, channel, directory, *streams = descriptors
        os.fchdir(directory)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for descriptor in (lifeline, directory, *streams):
            os.close(descriptor)
        sys.argv = ["-c", str(channel), str(self._pid)]
        gc.enable()
        worker_main.main_forked(channel, self._pid, lambda: self._handler(reference))

    def _handler(self, reference: str) -> EngineHandler:
        """In a worker: return its handler. A handler that can be loaded in the server as well is reported to it."""
        handler = self._handlers.get(reference)
        if handler is None:
            handler = self._loaded(reference)
            if _has_one_thread():
                os.write(self._report, FORKED.pack(os.getpid()))
        os.close(self._report)
        return handler

    def _hear(self) -> None:
        data = os.read(self._reports, _REPORT)
        for (pid,) in FORKED.iter_unpack(data[: len(data) // FORKED.size * FORKED.size]):
            if pid in self._workers:
                self._fit.add(self._workers[pid].reference)

    def _load(self) -> None:
        self._spares.drop()
        for reference in self._fit - self._handlers.keys():
            self._handlers[reference] = self._loaded(reference)
            if self._jailed:
                practise(self._handlers[reference])
        self._fit.clear()
        self._freeze()

    def _loaded(self, reference: str) -> EngineHandler:
        handler = from_reference(reference)
        if self._jailed:
            rehearse(handler)
        else:
            preload = getattr(handler, "preload", None)  # of Preloading
            if preload is not None:
                preload()
        return handler

    def _remember(self, reference: str, descriptor: int) -> None:
        handler = self._handlers.get(reference)
        if isinstance(handler, BaseHandler):
            request = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
            worker_request.take_environment(request)
            with contextlib.suppress(Exception):  # it is worth some milliseconds, and nothing else
                handler.remember(*worker_main.workload(request))
            self._freeze()

    def _freeze(self) -> None:
        """Exclude all present objects from garbage collection, which would copy their pages in each worker."""
        gc.collect()
        gc.freeze()
        if self._accepts and not _has_one_thread():
            self._selector.unregister(self._control)  # what should not be: no fork may come of this any more
            self._control.close()
            self._accepts = False

    def _reap(self, ended: _Worker) -> None:
        _, status = os.waitpid(ended.pid, 0)
        with contextlib.suppress(OSError):
            ended.lifeline.send(STATUS.pack(status))
        self._selector.unregister(ended.process)
        os.close(ended.process)
        self._forget(ended)
        ended.lifeline.close()
        del self._workers[ended.pid]

    def _cut(self, unwanted: _Worker) -> None:
        if unwanted.pid not in self._workers:
            return  # its end was seen together with this
        self._forget(unwanted)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(unwanted.process, signal.SIGKILL)

    def _forget(self, one: _Worker) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(one.lifeline)


def _has_one_thread() -> bool:
    """Return whether this process has a single thread; a thread that was just joined may take a moment to end."""
    for _ in range(_LOOKS):
        if len(list(Path("/proc/self/task").iterdir())) == 1:
            return True
        time.sleep(_PAUSE)
    return False


def main(control: int, caller: int, *, jailed: bool) -> NoReturn:
    """Serve, and end the process; see :class:`Server`."""
    # Ctrl-C at a terminal is for the workers, and for the program that has started this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    Server(socket.socket(fileno=control), caller, jailed=jailed).serve()
