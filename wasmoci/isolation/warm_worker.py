"""Starts the warm server (:mod:`.warm_server`) and has it fork workers: the caller's side."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.isolation import messages
from wasmoci.isolation.new_worker import environment, options
from wasmoci.isolation.warm_protocol import FORK, FORKED, READY, REMEMBER, STATUS

if TYPE_CHECKING:
    from wasmoci.isolation.output_copier import OutputCopier

_START = 60.0  # seconds that a server may take to start, on a machine that is busy
_FORK = 60.0  # seconds that it may take to fork
_END = 5.0  # seconds to wait for its end

# The first process ends at once, so that the server is nobody's child whom the caller could wait for by accident.
_BOOT = """
import os, sys
if os.fork():
    os._exit(0)
import json
request = json.loads(sys.argv.pop())
sys.path[:] = request["path"]
sys.prefix, sys.exec_prefix = request["prefix"]
from wasmoci.isolation.new_worker import options
from wasmoci.isolation.warm_server import main
main(int(sys.argv[1]), int(sys.argv[2]), jailed=request["jailed"])
"""


class ServerGone(OSError):
    """The server has ended, or can't be started."""


class WarmServer:
    """A running server. Safe to use from several threads.

    Args:
        path: Its ``sys.path``.
        jailed: Whether its workers go to the jail: then it has no environment, and is never given a module.

    Raises:
        ServerGone: It could not be started.
    """

    def __init__(self, path: list[str], *, jailed: bool = False) -> None:
        self.is_jailed = jailed
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        caller = -1
        try:
            caller = os.pidfd_open(os.getpid())
            subprocess.run(  # noqa: S603  our own interpreter
                [
                    *(sys.executable, *options(), "-W", "ignore", "-c", _BOOT),
                    *(
                        str(theirs.fileno()),
                        str(caller),
                        json.dumps({"path": path, "prefix": [sys.prefix, sys.exec_prefix], "jailed": jailed}),
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), caller],
                env=environment(jailed=jailed),
                check=False,
            )
            theirs.close()
            self._control.settimeout(_START)
            _expect(self._control.recv(len(READY)), len(READY))
        except OSError as error:
            self._control.close()
            raise ServerGone from error
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()
            if caller >= 0:
                os.close(caller)
        self._file = os.fstat(self._control.fileno()).st_ino

    def fork(self, reference: str, channel: socket.socket, streams: tuple[int, int, int]) -> WarmWorker:
        """Fork a worker.

        Args:
            reference: Where its handler comes from, ``module:qualified.name``.
            channel: The socket that it gets.
            streams: The descriptors that become its 0, 1 and 2.

        Raises:
            ServerGone: The server has ended before it did.
        """
        lifeline, theirs = socket.socketpair()
        directory = -1
        try:
            with theirs:
                directory = os.open(".", os.O_PATH | os.O_CLOEXEC)
                self._send([FORK, reference.encode()], [theirs.fileno(), channel.fileno(), directory, *streams])
            lifeline.settimeout(_FORK)
            data, descriptors, _, _ = socket.recv_fds(lifeline, FORKED.size, 1, socket.MSG_CMSG_CLOEXEC)
            _expect(data if descriptors else b"", FORKED.size)  # none: this process may open no more
        except OSError as error:
            lifeline.close()
            raise ServerGone from error
        except BaseException:
            lifeline.close()
            raise
        finally:
            if directory >= 0:
                os.close(directory)
        return WarmWorker(FORKED.unpack(data)[0], descriptors[0], lifeline, self)

    def remember(self, reference: str, request: bytes) -> None:
        """Have the server keep the program of a request for its next run.

        Args:
            reference: As for :meth:`fork`.
            request: The request, as JSON.
        """
        descriptor = os.memfd_create("wasmoci-request", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb", buffering=0) as file, contextlib.suppress(OSError):
            file.write(request)
            self._send([REMEMBER, reference.encode()], [descriptor])

    def load(self, reference: str) -> None:
        """Have a worker load a handler, and then the server; return when the worker has.

        Raises:
            ServerGone: The server has ended.
        """
        with Path(os.devnull).open("r+b", buffering=0) as null:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                process = self.fork(reference, theirs, (null.fileno(),) * 3)
                try:
                    ours.sendall(messages.encode({"spec": None, "environment": dict(os.environ)}))
                    theirs.close()
                    ours.recv(1)
                finally:
                    process.end()
                    process.close()

    def close(self) -> None:
        """End the server when its last worker has ended."""
        if self._is_open():
            self._control.close()
        else:
            self._control.detach()

    def end(self) -> None:
        """End the server, and wait for its end for a limited time."""
        if self._is_open():
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)
                self._control.settimeout(_END)
                self._control.recv(1)
        self.close()

    def _send(self, parts: list[bytes], descriptors: list[int]) -> None:
        if not self._is_open():
            raise ServerGone
        socket.send_fds(self._control, parts, descriptors)

    def _is_open(self) -> bool:
        """Return whether the descriptor is still the socket's: a program that closes unknown descriptors may reuse its number."""
        try:
            return os.fstat(self._control.fileno()).st_ino == self._file
        except OSError:
            return False


def _expect(data: bytes, size: int) -> None:
    if len(data) != size:
        raise ServerGone


class WarmWorker:
    """A worker that a server has forked, as :class:`.new_worker.NewWorker` is one that was started.

    Args:
        pid: Its process id.
        descriptor: Its process descriptor.
        lifeline: The socket on which the server tells its status.
        server: The server.
    """

    is_forked = True
    """It gets the caller's environment with its request."""

    def __init__(self, pid: int, descriptor: int, lifeline: socket.socket, server: WarmServer) -> None:
        self.pid = pid
        self.server = server
        self._descriptor = descriptor
        self._lifeline = lifeline
        self._lock = threading.Lock()
        self._is_over = False

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with self._lock:
            if not self._is_over:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._descriptor, number)

    def watch(self, copier: OutputCopier) -> None:
        """End what serves the copier when the process ends."""
        copier.stop_at_end(self._descriptor)

    def end(self) -> int:
        """Kill it, if it still runs, and wait for its end.

        Returns:
            Its status, as :attr:`subprocess.Popen.returncode` has it.
        """
        self.signal(signal.SIGKILL)
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        poller.poll()
        with contextlib.suppress(OSError):
            data = self._lifeline.recv(STATUS.size)
            if len(data) == STATUS.size:
                return os.waitstatus_to_exitcode(STATUS.unpack(data)[0])
        return -signal.SIGKILL  # the server was ended, and by its end the worker

    def close(self) -> None:
        """Close its descriptors."""
        with self._lock:
            if not self._is_over:
                self._is_over = True
                os.close(self._descriptor)
                self._lifeline.close()
