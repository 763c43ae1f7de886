"""A guest's outputs, when they come from within the engine: no exception may pass through it."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, TypeVar

from wasmoci.stdio import Sink, Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers._wasmtime.run import Run

_T = TypeVar("_T")


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
        """Write for wasmtime-py, which calls on a thread of wasmtime's, and wants a negative errno and no exception."""
        _thread.serves_engine = True
        try:
            self.write(data)
        except OSError as error:
            return -(error.errno or errno.EIO)
        finally:
            _thread.serves_engine = False
        return None


def on_own_thread(function: Callable[[], _T]) -> _T:
    """Call a function on a thread that may run a guest: not on one of wasmtime's, where another guest's output is taken."""
    if not getattr(_thread, "serves_engine", False):
        return function()
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  it is hardly ever needed

    with ThreadPoolExecutor(1, "wasmoci-guest") as executor:
        return executor.submit(function).result()


_thread = threading.local()


def guarded(streams: Streams, run: Run) -> Streams:
    """Streams whose outputs are guarded."""
    return Streams(streams.stdin, GuardedSink(streams.stdout, run), GuardedSink(streams.stderr, run))
