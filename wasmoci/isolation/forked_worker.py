"""Forks a worker process from this process, where that is safe because it has a single thread.

It compiles or validates a module, and runs no guest. It starts in a millisecond, with the engine as far as this process has loaded it.
It shares this process's memory, so it is only for engines that could do the work in this process as well.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from wasmoci.handlers.base import from_reference
from wasmoci.isolation.preparation_tasks import serve
from wasmoci.isolation.worker_request import answer_forked

if TYPE_CHECKING:
    import socket

_KEPT = 3  # descriptors below are the process's streams


class ForkedWorker:
    """A worker process, child of this one, as :class:`.new_worker.NewWorker` is one that was started.

    Args:
        reference: Where its handler comes from, ``module:qualified.name``.
        channel: The socket that it gets.
        streams: The descriptors that become its 0, 1 and 2.

    Raises:
        OSError: No process is to be had.
    """

    is_forked = True
    """It gets the caller's environment with its request."""

    def __init__(self, reference: str, channel: socket.socket, streams: tuple[int, int, int]) -> None:
        parent = os.getpid()
        # No handler of this program's is to run in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _work(parent, reference, channel.fileno(), streams)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            self._descriptor = os.pidfd_open(self.pid)
        except OSError:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise
        self._status: int | None = None

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def end(self) -> int:
        """Kill it, if it still runs, and wait for its end.

        Returns:
            Its status, as :attr:`subprocess.Popen.returncode` has it.
        """
        if self._status is None:
            self.signal(signal.SIGKILL)
            try:
                _, status = os.waitpid(self.pid, 0)
            except ChildProcessError:  # this program waits for all of its children by itself
                poller = select.poll()
                poller.register(self._descriptor, select.POLLIN)
                poller.poll()
                self._status = -signal.SIGKILL
            else:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def close(self) -> None:
        """Close its descriptors."""
        os.close(self._descriptor)


def is_safe() -> bool:
    """Return whether this process may be forked: with a single thread, no lock stays locked in the child."""
    if threading.active_count() > 1:
        return False
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


def _work(parent: int, reference: str, channel: int, streams: tuple[int, int, int]) -> NoReturn:
    """Become a worker, in the child."""
    try:
        for caught in signal.valid_signals():
            if callable(signal.getsignal(caught)):
                signal.signal(caught, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        gc.freeze()  # nothing of this program's is collected here
        copies = [os.dup(descriptor) for descriptor in streams]
        for number, copy in enumerate(copies):
            os.dup2(copy, number)
        os.closerange(_KEPT, channel)
        os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        answer_forked(channel, parent, lambda: from_reference(reference), serve)
    finally:
        os._exit(1)
