"""Starts and supervises the process that runs a guest, and kills it when its time is over."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import EngineCrashed
from wasmoci.isolation import descriptor_limit
from wasmoci.isolation.output_copier import OutputCopier

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload

RUNNER = Path(__file__).with_name("library.py")
_CHUNK = 1 << 16
_PROBE_LIMIT = 60  # seconds that a library may take to be loaded
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


@attrs.frozen
class Answer:
    """The result of a process.

    Args:
        message: Its last message; None when it was killed, or died, without one.
        status: Its exit status, as :attr:`subprocess.Popen.returncode` has it.
        in_time: Whether it ended within the time limit.
    """

    message: dict[str, Any] | None
    status: int
    in_time: bool


def probe(library: str) -> dict[str, Any]:
    """Ask a library for its version.

    Raises:
        EngineCrashed: It doesn't respond.
    """
    read, write = os.pipe()
    with os.fdopen(read, "rb") as answers:
        try:
            command = [sys.executable, "-I", str(RUNNER), library, "version", str(write)]
            done = subprocess.run(  # noqa: S603  our own program
                command, pass_fds=[write], capture_output=True, timeout=_PROBE_LIMIT, check=False
            )
        finally:
            os.close(write)
        line = answers.readline()
    if not line:
        stderr = done.stderr.decode("utf-8", "replace")
        raise EngineCrashed(f"{library} ended the process that loaded it, with status {done.returncode}", stderr=stderr)
    answer: dict[str, Any] = json.loads(line)
    return answer


def serve(library: str, request: Path, workload: Workload) -> Answer:
    """Run a guest, and enforce its time limit.

    Args:
        library: WasmEdge's shared object.
        request: The file with the request.
        workload: Its streams and its time limit.
    """
    messages = _Messages(workload)
    read, write = os.pipe()
    with OutputCopier() as copier, os.fdopen(read, "rb", buffering=0) as answers:
        try:
            # One target for both is one pipe, so that the order of the writes is kept.
            stdout = copier.output(workload.streams.stdout)
            is_one = workload.streams.stdout is workload.streams.stderr
            stderr = stdout if is_one else copier.output(workload.streams.stderr)
            process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-I", str(RUNNER), library, "run", str(write), str(request)],
                stdin=workload.streams.stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=request.parent,
                pass_fds=[write],
                preexec_fn=_prepare,  # noqa: PLW1509  calls of the system alone, looked up before
            )
        finally:
            os.close(write)
        try:
            copier.release_child_ends()

            def listen() -> None:
                data = os.read(answers.fileno(), _CHUNK)
                if data:
                    messages.feed(data)
                else:
                    copier.unwatch(answers)

            copier.watch(answers, listen)
            copier.stop_at_end_of(process)
            in_time = copier.serve(messages.deadline)
        finally:
            process.kill()
            status = process.wait()
        copier.drain()
    return Answer(messages.last, status, in_time)


class _Messages:
    """Parses the messages of the process."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._data = b""
        self._began: float | None = None
        self.last: dict[str, Any] | None = None

    def deadline(self) -> float | None:
        """The end of the guest's time, which counts from its beginning."""
        limit = self._workload.limits.time
        return None if limit is None or self._began is None else self._began + limit

    def feed(self, data: bytes) -> None:
        """Parse received bytes."""
        *lines, self._data = (self._data + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["event"] == "started":
                self._began = time.monotonic()
                self._workload.started()
            else:
                self.last = message


def _prepare() -> None:
    """Make the process end with this one, and limit its descriptors to those of a guest."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor_limit.bound()
