"""A guest's outputs, when they come from within the engine: no exception may pass through it.

wasmtime takes a component's output on a thread of its own, and may do so still when the component has ended. It says when it lets
go of it, and the run waits for that.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import threading

from wasmoci.handlers._wasmtime.prototypes import finalizer_t, wasi_output_callback_t
from wasmoci.stdio import Sink, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from wasmoci.handlers._wasmtime.run import Run

    _T = TypeVar("_T")

_SETTLING = 1.0  # seconds; it takes microseconds


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


class Loan:
    """An output in wasmtime's hands, to be taken back after the run; the store is closed then.

    A thread that calls Python while the interpreter ends is ended by that, which the engine takes for a panic and aborts the
    process. So nothing of it may be left.

    Args:
        sink: Where the output goes.
        run: Keeps what the sink raises.
    """

    def __init__(self, sink: Sink, run: Run) -> None:
        self.sink = GuardedSink(sink, run)
        self.returned = threading.Event()
        self.key = next(_keys)
        _loans[self.key] = self

    def pass_to(self, setter: Callable[..., None], config: int) -> None:
        """Make it an output of a WASI configuration."""
        setter(config, _take, self.key, _release)

    def end(self) -> None:
        """Take it back."""
        self.returned.wait(_SETTLING)
        _loans.pop(self.key, None)


@wasi_output_callback_t  # type: ignore[untyped-decorator]
def _take(key: int, data: int | None, size: int) -> int:
    """Write, and give the size, or a negative errno."""
    loan = _loans.get(key)
    if loan is None:
        return -errno.EIO
    _thread.serves_engine = True
    try:
        loan.sink.write(ctypes.string_at(data, size) if data else b"")
    except OSError as error:
        return -(error.errno or errno.EIO)
    finally:
        _thread.serves_engine = False
    return size


@finalizer_t  # type: ignore[untyped-decorator]
def _release(key: int) -> None:
    loan = _loans.get(key)
    if loan is not None:
        loan.returned.set()


def on_own_thread(function: Callable[[], _T]) -> _T:
    """Call a function on a thread that may run a guest: not on one of wasmtime's, where another guest's output is taken."""
    if not getattr(_thread, "serves_engine", False):
        return function()
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  it is hardly ever needed

    with ThreadPoolExecutor(1, "wasmoci-guest") as executor:
        return executor.submit(function).result()


def guarded(streams: Streams, run: Run) -> Streams:
    """Streams whose outputs are guarded."""
    return streams.with_outputs(GuardedSink(streams.stdout, run), GuardedSink(streams.stderr, run))


_thread: Any = threading.local()
_keys = itertools.count(1)
_loans: dict[int, Loan] = {}
