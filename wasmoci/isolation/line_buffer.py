"""Buffers a guest's output in bounded memory, as lines that a caller can wait for."""

from __future__ import annotations

import collections
from typing import Literal, TypeAlias

StreamName: TypeAlias = Literal["stdout", "stderr"]
STREAMS: tuple[StreamName, StreamName] = ("stdout", "stderr")


class LineBuffer:
    """One output: its beginning for the result, and the lines that have not been read yet.

    Args:
        limit: Bytes to keep of each.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._partial = bytearray()
        self._lines: collections.deque[tuple[int, str]] = collections.deque()
        self._waiting = 0  # characters in those lines
        self.truncated = False
        """Whether the result lacks some of it."""

    @property
    def kept(self) -> bytes:
        """Its beginning."""
        return bytes(self._kept)

    def write(self, data: bytes, number: int) -> None:
        """Add a chunk, the ``number``-th of all outputs."""
        room = self._limit - len(self._kept)
        self.truncated = self.truncated or len(data) > room
        self._kept += data[:room]
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(self._partial + line, number)
            self._partial.clear()
        self._partial += rest
        if len(self._partial) > self._limit:
            self.end(number)  # a line without an end is cut into pieces

    def end(self, number: int) -> None:
        """Treat what follows the last newline as a line."""
        if self._partial:
            self._add(self._partial, number)
            self._partial.clear()

    def first(self) -> int | None:
        """The number of the first unread line; None when there is none."""
        return self._lines[0][0] if self._lines else None

    def take(self) -> str:
        """Return the first unread line, without its newline."""
        _, line = self._lines.popleft()
        self._waiting -= len(line)
        return line

    def _add(self, line: bytes | bytearray, number: int) -> None:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        self._lines.append((number, text))
        self._waiting += len(text)
        while self._waiting > self._limit and len(self._lines) > 1:
            self.take()


class LineBuffers:
    """Both outputs of a guest. Not safe to use from several threads.

    Args:
        limit: Bytes to keep of each.
    """

    def __init__(self, limit: int) -> None:
        self.stdout = LineBuffer(limit)
        self.stderr = LineBuffer(limit)
        self._number = 0

    def of(self, stream: StreamName) -> LineBuffer:
        """Return one of them.

        Raises:
            ValueError: There is none of that name.
        """
        if stream not in STREAMS:
            raise ValueError(f"stream is {stream!r}; expected one of {', '.join(map(repr, STREAMS))}, or None for both")
        return self.stdout if stream == "stdout" else self.stderr

    def write(self, stream: StreamName, data: bytes) -> None:
        """Take a chunk."""
        self._number += 1
        self.of(stream).write(data, self._number)

    def end(self) -> None:
        """Note that there will be no more output."""
        self._number += 1
        self.stdout.end(self._number)
        self.stderr.end(self._number)

    def take(self, stream: StreamName | None) -> str | None:
        """Return the next line of one output, or of both in order of arrival; None when there is none yet."""
        numbered = [
            (output.first(), output)
            for output in ([self.of(stream)] if stream is not None else [self.stdout, self.stderr])
        ]
        ready = [(number, output) for number, output in numbered if number is not None]
        return min(ready, key=lambda pair: pair[0])[1].take() if ready else None
