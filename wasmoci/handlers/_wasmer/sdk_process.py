"""Starts the process that runs a guest in the SDK (:mod:`.sdk_main`), and communicates with it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from wasmoci.errors import CompileLimitExceeded, EngineCrashed, EngineError
from wasmoci.handlers._wasmer.sdk_protocol import LENGTH

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop())
from wasmoci.handlers._wasmer.sdk_main import main
main()
"""
_MOST = 1 << 20  # bytes of one message
_KINDS = {"started": bool, "exited": int, "failed": str}
_SHOWN = 200  # bytes of a message that an error quotes
_TAIL = 2000  # bytes of what the process wrote to its standard error


def _started(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, **options)  # noqa: S603  this interpreter, with our own program
    except RuntimeError as error:  # of an interpreter that may not start any
        raise EngineError(
            f"the process of wasmer's SDK can't be started: {error}", hint="run the guest from the main interpreter"
        ) from error


class SdkProcess:
    """A process that runs one guest, from its start to its end; a context manager, which kills it.

    Args:
        module: A module that :func:`~wasmoci.handlers._wasmer.tunnel.tunnel` made.
        cache: Where the SDK keeps what it has compiled.
        memory: Bytes that it may allocate until the guest starts; None for no limit.

    Raises:
        OSError: It can't be started.
    """

    def __init__(self, module: bytes, cache: Path, memory: int | None = None) -> None:
        with contextlib.ExitStack() as stack:
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            status, theirs = os.pipe()
            self._status = stack.enter_context(os.fdopen(status, "rb"))
            try:
                process = _started(
                    [sys.executable, "-I", "-c", _BOOT, str(theirs), json.dumps(sys.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    pass_fds=[theirs],
                    bufsize=0,
                )
            finally:
                os.close(theirs)
            self._process = stack.enter_context(process)
            stack.callback(process.kill)
            request = json.dumps({"cache": str(cache), "memory": memory, "parent": os.getpid()}).encode()
            self.write(b"".join((LENGTH.pack(len(request), len(module)), request, module)))
            self._stack = stack.pop_all()

    def __enter__(self) -> SdkProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def beginning(self, time: float | None, source: str) -> dict[str, Any]:
        """Wait for the first message, which comes when the SDK has compiled the module.

        Args:
            time: Seconds that this may take; None for no limit.
            source: How messages name the module.

        Raises:
            CompileLimitExceeded: It takes more time than that, or was refused memory.
            EngineCrashed: It has died without a word.
        """
        poller = select.poll()
        poller.register(self._status, select.POLLIN)
        if not poller.poll(None if time is None else 1000 * time):
            raise CompileLimitExceeded(f"{source}: wasmer has not compiled it within {time:g} s", limit="time")
        try:
            return self.status()
        except EngineCrashed as error:
            if "memory allocation of" in error.stderr:
                raise CompileLimitExceeded(
                    f"{source}: wasmer was refused memory by the limit while it compiled the module", limit="memory"
                ) from None
            raise

    def status(self) -> dict[str, Any]:
        """Wait for the next message: ``started``, ``exited`` with a code, or ``failed`` with a text.

        Raises:
            EngineCrashed: It has died without a word, or says something else.
        """
        line = self._status.readline(_MOST)
        if line.endswith(b"\n") or len(line) == _MOST:
            return _read(line)
        code = self._process.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _TAIL))
        raise EngineCrashed(
            f"the process of wasmer's SDK died under the guest, by signal {-code}"
            if code < 0
            else f"the process of wasmer's SDK ended with {code} under the guest",
            signal=-code if code < 0 else None,
            stderr=self._errors.read().decode("utf-8", "replace"),
        )

    def read(self, size: int) -> bytes:
        """Read a number of bytes from the guest; fewer only at its end."""
        stream: Any = self._process.stdout
        data = stream.read(size) or b""
        if len(data) == size:
            return bytes(data)
        parts = [data]
        while data and (missing := size - sum(map(len, parts))):
            data = stream.read(missing) or b""
            parts.append(data)
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Write bytes to the guest; if it has ended, reading reports it."""
        stream: Any = self._process.stdin
        rest = memoryview(data)
        with contextlib.suppress(BrokenPipeError):
            while rest:
                rest = rest[stream.write(rest) :]


def _read(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
        [(kind, value)] = message.items()
        if type(value) is _KINDS[kind]:
            return {kind: value}
    except (AttributeError, LookupError, RecursionError, ValueError):
        pass
    raise EngineCrashed(f"the process of wasmer's SDK said something that makes no sense: {line[:_SHOWN]!r}")
