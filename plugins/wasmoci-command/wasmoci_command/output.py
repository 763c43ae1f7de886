"""Separates a program's own messages from its guest's output on the same stream."""

from __future__ import annotations

from wasmoci.stdio import Sink

_LIMIT = 64 << 10  # bytes of the program's messages that are kept


class Report:
    """Passes a stream on until a mark that no guest knows; after it come the program's own messages.

    Args:
        sink: Receives the guest's part.
        mark: The beginning of the program's own messages; None if they can't be recognised: then everything is passed
            on, and :attr:`words` is the end of it.
    """

    def __init__(self, sink: Sink, mark: bytes | None) -> None:
        self._target = sink
        self._mark = mark
        self._held = b""
        self._marked = False
        self.words = b""
        self.sink = Sink(function=self._take)

    def _take(self, data: bytes) -> None:
        if self._mark is None:
            self._target.write(data)
            self.words = (self.words + data)[-_LIMIT:]
            return
        if self._marked:
            self.words = (self.words + data)[:_LIMIT]
            return
        data = self._held + data
        before, mark, after = data.partition(self._mark)
        if mark:
            self._marked, self._held, self.words = True, b"", (mark + after)[:_LIMIT]
        else:
            keep = _begun(data, self._mark)
            before, self._held = data[: len(data) - keep], data[len(data) - keep :]
        if before:
            self._target.write(before)

    def finish(self) -> None:
        """Pass on what was held back, as it wasn't the beginning of a mark."""
        held, self._held = self._held, b""
        if held:
            self._target.write(held)


def _begun(data: bytes, mark: bytes) -> int:
    """Return how many bytes at the end of some data are the beginning of a mark."""
    longest = min(len(mark) - 1, len(data))
    return next((size for size in range(longest, 0, -1) if data.endswith(mark[:size])), 0)
