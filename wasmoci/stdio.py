"""Describes and opens a guest's standard streams.

A :class:`Stdio` is a description and can be used for many runs. :meth:`Stdio.open` turns it into :class:`Streams` for one
run: descriptors and sinks of our own. ``sys.stdin`` and its like are never touched.
"""

from __future__ import annotations

import enum
import fcntl
import os
import select
import threading
from pathlib import Path

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, TypeAlias


CAPTURE_LIMIT = 16 << 20  # bytes


class Stream(enum.Enum):
    """A stream of the host that a guest's stream is tied to."""

    INHERIT = "inherit"
    """The same descriptor of this process (0, 1 or 2)."""
    NULL = "null"
    """Reads return the end at once, writes are discarded."""


def _is_count(_instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 0:
        raise ValueError(f"{attribute.name} is {value}; expected 0 bytes or more")


@attrs.frozen
class Capture:
    """Capture what is written, for the result.

    Args:
        limit: Bytes to keep; what comes after them is dropped, and the result says so.
    """

    limit: int = attrs.field(default=CAPTURE_LIMIT, validator=_is_count)


Source: TypeAlias = "Stream | bytes | int | Path"
"""A standard input: a stream, its whole content, an open descriptor (stays open), or a file's host path."""

Target: TypeAlias = "Stream | Capture | int | Path | Callable[[bytes], object]"
"""An output: a stream, a capture, an open descriptor (stays open), a file's host path (made anew), or a function that is
called with each chunk, on the thread that runs the guest (inline) or reads from it (process)."""


def _is_source(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, (Stream, bytes, int, Path)):
        raise TypeError(f"{attribute.name} is {value!r}; expected a Stream, bytes, a descriptor or a Path")


def _is_target(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (isinstance(value, (Stream, Capture, int, Path)) or callable(value)):
        raise TypeError(
            f"{attribute.name} is {value!r}; expected a Stream, a Capture, a descriptor, a Path or a function"
        )


@attrs.frozen(kw_only=True)
class Stdio:
    """The three standard streams of a run.

    Args:
        stdin: A :data:`Source`.
        stdout: A :data:`Target`.
        stderr: A :data:`Target`.
    """

    stdin: Source = attrs.field(default=Stream.INHERIT, validator=_is_source)
    stdout: Target = attrs.field(default=Stream.INHERIT, validator=_is_target)
    stderr: Target = attrs.field(default=Stream.INHERIT, validator=_is_target)

    @classmethod
    def inherit(cls) -> Stdio:
        """This process's own streams, all three."""
        return cls()

    @classmethod
    def capture(cls, stdin: Source = b"", *, limit: int = CAPTURE_LIMIT) -> Stdio:
        """Return an input with captured outputs.

        Args:
            stdin: What it reads.
            limit: Bytes of each output to keep.
        """
        return cls(stdin=stdin, stdout=Capture(limit), stderr=Capture(limit))

    @classmethod
    def null(cls) -> Stdio:
        """Return an empty input and outputs that are discarded."""
        return cls(stdin=Stream.NULL, stdout=Stream.NULL, stderr=Stream.NULL)

    def open(self) -> AbstractContextManager[Streams]:
        """The streams for one run; everything that had to be opened is closed at the end.

        Raises:
            OSError: A file could not be opened; when the context is entered.
        """
        return _Opening(self)


class Sink:
    """An output of one run.

    Attributes:
        descriptor: The OS descriptor that takes the bytes as they are, so that an engine may write to it by itself; None when
            they have to come through :meth:`write`.
    """

    def __init__(
        self,
        *,
        descriptor: int | None = None,
        function: Callable[[bytes], object] | None = None,
        limit: int | None = None,
    ) -> None:
        self.descriptor = descriptor
        self._function = function
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._lock = threading.Lock()
        self.truncated = False
        """Whether captured output was dropped."""

    def write(self, data: bytes | memoryview) -> None:
        """Write a chunk completely.

        Raises:
            OSError: The descriptor doesn't take it.
        """
        if self.descriptor is not None:
            _write(self.descriptor, data)
        elif self._function is not None:
            self._function(bytes(data))
        elif self._limit is not None:
            self._keep(data, self._limit)

    def _keep(self, data: bytes | memoryview, limit: int) -> None:
        with self._lock:
            room = limit - self._size
            if len(data) > room:
                self.truncated = True
                data = data[:room]
            if data:
                self._chunks.append(bytes(data))
                self._size += len(data)

    @property
    def captured(self) -> bytes | None:
        """The captured output; None if it isn't captured."""
        return None if self._limit is None else b"".join(self._chunks)


class Streams:
    """The open streams of one run.

    Args:
        stdin: An OS descriptor to read from, or what opens one.
        stdout: Where the guest's output goes.
        stderr: Where its error output goes.
        content: The whole of the standard input, where it is bytes; for an engine that takes them as they are.
    """

    def __init__(
        self, stdin: int | Callable[[], int], stdout: Sink, stderr: Sink, *, content: bytes | None = None
    ) -> None:
        self._stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.content = content

    @property
    def stdin(self) -> int:
        """An OS descriptor to read from; of bytes it is made when it is first asked for."""
        if not isinstance(self._stdin, int):
            self._stdin = self._stdin()
        return self._stdin

    def with_outputs(self, stdout: Sink, stderr: Sink) -> Streams:
        """The same standard input with other outputs."""
        return Streams(lambda: self.stdin, stdout, stderr, content=self.content)


class _Opening:
    """Opens the streams of a run, and closes what it has opened."""

    def __init__(self, stdio: Stdio) -> None:
        self._stdio = stdio
        self._descriptors: list[int] = []

    def __enter__(self) -> Streams:
        stdio = self._stdio
        content = stdio.stdin if isinstance(stdio.stdin, bytes) else None
        try:
            stdin = self._source(stdio.stdin)
            stdout = self._target(stdio.stdout, 1)
            # One target for both is one sink, so that their order is kept and a file is not truncated twice.
            same = not isinstance(stdio.stderr, (Stream, Capture)) and stdio.stderr == stdio.stdout
            stderr = stdout if same else self._target(stdio.stderr, 2)
        except BaseException:
            self.__exit__()
            raise
        return Streams(stdin, stdout, stderr, content=content)

    def __exit__(self, *_: object) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _source(self, source: Source) -> int | Callable[[], int]:
        if isinstance(source, bytes):
            return lambda: self._spooled(source)
        if isinstance(source, Path):
            return self._opened(source, os.O_RDONLY)
        if source is Stream.INHERIT:
            return 0
        if source is Stream.NULL:
            return self._opened(os.devnull, os.O_RDONLY)
        return source

    def _target(self, target: Target, inherited: int) -> Sink:
        if isinstance(target, Capture):
            return Sink(limit=target.limit)
        if isinstance(target, Path):
            return Sink(descriptor=self._opened(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
        if target is Stream.INHERIT:
            return Sink(descriptor=inherited)
        if target is Stream.NULL:
            return Sink(descriptor=self._opened(os.devnull, os.O_WRONLY))
        if isinstance(target, int):
            return Sink(descriptor=target)
        return Sink(function=target)

    def _opened(self, path: Path | str, flags: int) -> int:
        return self._kept(os.open(path, flags | os.O_CLOEXEC, 0o666))

    def _kept(self, descriptor: int) -> int:
        self._descriptors.append(descriptor)
        return descriptor

    def _spooled(self, data: bytes) -> int:
        """Return a descriptor to read bytes from: an unnamed file, which never blocks."""
        if hasattr(os, "memfd_create"):
            descriptor = self._kept(os.memfd_create("wasmoci-stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
            _write(descriptor, data)
            # Memory of this kind no limit counts: it is to be read, and never to grow.
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        else:
            import tempfile  # noqa: PLC0415  5 ms of each start, and only needed here

            with tempfile.TemporaryFile(buffering=0) as file:
                descriptor = self._kept(os.dup(file.fileno()))
            _write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


def _write(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Whoever shares the descriptor has made it non-blocking.
            poller = select.poll()
            poller.register(descriptor, select.POLLOUT)
            poller.poll()


INHERIT = Stdio.inherit()
