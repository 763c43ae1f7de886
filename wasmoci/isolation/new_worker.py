"""Starts a new worker process for one run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from wasmoci.errors import EngineError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from wasmoci.isolation.output_copier import OutputCopier

# The worker can't import this package before it has the caller's path, so the request is read here, by hand.
_BOOT = """
import json, os, sys
fd, parent = int(sys.argv[1]), int(sys.argv[2])
def read(n):
    data = b""
    while len(data) < n:
        chunk = os.read(fd, n - len(data))
        if not chunk:
            os._exit(1)
        data += chunk
    return data
request = json.loads(read(int.from_bytes(read(4), "little")))
sys.path[:] = request["path"]
sys.prefix, sys.exec_prefix = request["prefix"]
from wasmoci.isolation.worker_main import main
main(fd, parent, request)
"""


class NewWorker:
    """A worker process, child of this one.

    Args:
        channel: The socket that it gets.
        streams: The descriptors that become its 0, 1 and 2.
        jailed: Whether it gets an empty environment.

    Raises:
        EngineError: There is no interpreter to start.
    """

    is_forked = False
    """It has been given this process's environment."""
    server = None
    """No server has forked it."""

    def __init__(self, channel: socket.socket, streams: tuple[int, int, int], *, jailed: bool = False) -> None:
        if not sys.executable:
            raise EngineError("sys.executable is empty: no worker process can be started from this program")
        stdin, stdout, stderr = streams
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter
            # Without warnings: they would turn up in the guest's standard error.
            [sys.executable, *options(), "-W", "ignore", "-c", _BOOT, str(channel.fileno()), str(os.getpid())],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[channel.fileno()],
            env=environment(jailed=jailed),
        )
        self.pid = self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)

    def watch(self, copier: OutputCopier) -> None:
        """End what serves the copier when the process ends."""
        copier.stop_at_end_of(self._process)

    def end(self) -> int:
        """Kill it, if it still runs, and wait for its end.

        Returns:
            Its status, as :attr:`subprocess.Popen.returncode` has it.
        """
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        """Close its descriptors."""


def environment(*, jailed: bool) -> Mapping[str, str]:
    """Return the environment of a new process: in the jail only what the interpreter may need to start."""
    # As a warm worker gets it; by itself it would have what C code, such as readline, has put in beside Python's.
    return {name: os.environ[name] for name in _OF_THE_LOADER if name in os.environ} if jailed else os.environ


def options() -> list[str]:
    """Return the options of a worker's interpreter: without ``site``, if that only provides the path.

    They may also put something among the finders of modules, as an editable installation does.
    """
    plain = all(
        getattr(finder, "__module__", type(finder).__module__).startswith(_HARMLESS) for finder in sys.meta_path
    )
    return ["-I", "-S"] if plain else ["-I"]


_OF_THE_LOADER = ("LD_LIBRARY_PATH",)
# Python's own; setuptools' for distutils; pytest's, which rewrites assertions and isn't from there.
_HARMLESS = ("_frozen_importlib", "importlib.", "_distutils_hack", "_pytest.")
