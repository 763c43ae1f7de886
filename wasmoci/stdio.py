"""Where a guest's standard streams come from and go to.

A :class:`Stdio` is a description and can be used for many runs. :meth:`Stdio.open` turns it into :class:`Streams` for one
run: descriptors and sinks of our own. ``sys.stdin`` and its like are never touched.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import threading
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    import attrs
else:
    from wasmoci import _attrs as attrs

CAPTURE_LIMIT = 16 << 20  # bytes


class Stream(enum.Enum):
    """A stream of the host that a guest's stream is tied to."""

    INHERIT = "inherit"
    """The same descriptor of this process (0, 1 or 2)."""
    NULL = "null"
    """Reads find the end, writes vanish."""


def _is_count(_instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 0:
        raise ValueError(f"{attribute.name} is {value}; expected 0 bytes or more")


@attrs.frozen
class Capture:
    """Keep what is written, for the result.

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
        """Give the guest an input, keep its outputs.

        Args:
            stdin: What it reads.
            limit: Bytes of each output to keep.
        """
        return cls(stdin=stdin, stdout=Capture(limit), stderr=Capture(limit))

    @classmethod
    def null(cls) -> Stdio:
        """Nothing to read, and outputs that vanish."""
        return cls(stdin=Stream.NULL, stdout=Stream.NULL, stderr=Stream.NULL)

    @contextlib.contextmanager
    def open(self) -> Iterator[Streams]:
        """The streams for one run; everything that had to be opened is closed at the end.

        Raises:
            OSError: A file could not be opened.
        """
        with contextlib.ExitStack() as stack:
            stdin = _open_source(self.stdin, stack)
            stdout = _open_target(self.stdout, 1, stack)
            # One target for both is one sink, so that their order is kept and a file is not truncated twice.
            same = self.stderr == self.stdout and not isinstance(self.stderr, (Stream, Capture))
            stderr = stdout if same else _open_target(self.stderr, 2, stack)
            yield Streams(stdin, stdout, stderr)


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
        """Take a chunk, all of it.

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
        """What was kept; None when nothing was to be kept."""
        return None if self._limit is None else b"".join(self._chunks)


@attrs.frozen
class Streams:
    """The open streams of one run.

    Args:
        stdin: An OS descriptor to read from.
        stdout: Where the guest's output goes.
        stderr: Where its error output goes.
    """

    stdin: int
    stdout: Sink
    stderr: Sink


def _open_source(source: Source, stack: contextlib.ExitStack) -> int:
    if isinstance(source, bytes):
        return _spool(source, stack)
    if isinstance(source, Path):
        return _opened(source, os.O_RDONLY, stack)
    if source is Stream.INHERIT:
        return 0
    if source is Stream.NULL:
        return _opened(Path(os.devnull), os.O_RDONLY, stack)
    return source


def _open_target(target: Target, inherited: int, stack: contextlib.ExitStack) -> Sink:
    if isinstance(target, Capture):
        return Sink(limit=target.limit)
    if isinstance(target, Path):
        return Sink(descriptor=_opened(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, stack))
    if target is Stream.INHERIT:
        return Sink(descriptor=inherited)
    if target is Stream.NULL:
        return Sink(descriptor=_opened(Path(os.devnull), os.O_WRONLY, stack))
    if isinstance(target, int):
        return Sink(descriptor=target)
    return Sink(function=target)


def _opened(path: Path, flags: int, stack: contextlib.ExitStack) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    stack.callback(os.close, descriptor)
    return descriptor


def _spool(data: bytes, stack: contextlib.ExitStack) -> int:
    """A descriptor at the beginning of bytes: a file without a name, which no reader can block on."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("wasmoci-stdin", os.MFD_CLOEXEC)
        stack.callback(os.close, descriptor)
    else:
        import tempfile  # noqa: PLC0415  only here, and it costs milliseconds

        descriptor = stack.enter_context(tempfile.TemporaryFile(buffering=0)).fileno()  # noqa: SIM115
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
