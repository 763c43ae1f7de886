"""A guest's outputs, when they come from within the engine: no exception may pass through it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from wasmoci.stdio import Sink, Streams

if TYPE_CHECKING:
    from wasmoci.handlers._wasmtime.run import Run


class GuardedSink(Sink):
    """A sink that raises nothing but ``OSError``, which is the guest's own affair.

    Any exception of a function that takes the output is kept, to be raised after the run; from then on the guest gets
    ``EIO``.

    Args:
        sink: Where the output goes.
        run: Keeps the exception.
    """

    def __init__(self, sink: Sink, run: Run) -> None:
        super().__init__(descriptor=sink.descriptor)
        self._sink = sink
        self._run = run

    def write(self, data: bytes | memoryview) -> None:
        """See :meth:`Sink.write`."""
        if self._run.failure is not None:
            raise OSError(errno.EIO, "the output can't be taken any more")
        try:
            self._sink.write(data)
        except BaseException as error:
            if self.descriptor is not None and isinstance(error, OSError):
                raise
            self._run.fail(error)
            raise OSError(errno.EIO, "the output can't be taken") from error

    def take(self, data: bytes) -> int | None:
        """Write for wasmtime-py, which wants a negative errno and no exception."""
        try:
            self.write(data)
        except OSError as error:
            return -(error.errno or errno.EIO)
        return None


def guarded(streams: Streams, run: Run) -> Streams:
    """Streams whose outputs are guarded."""
    return Streams(streams.stdin, GuardedSink(streams.stdout, run), GuardedSink(streams.stderr, run))
