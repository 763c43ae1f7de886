"""Passes a guest's output from the engine to Python, without letting an exception through the engine.

wasmtime takes a component's output on a thread of its own, and may do so still when the component has ended. It reports when it has
released the output, and the run waits for that.
"""

from __future__ import annotations

import ctypes
import errno
import threading

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers import _interpreter
from wasmoci.handlers._callback_entries import Entry, Marked, addresses
from wasmoci.handlers._guest_thread import on_thread
from wasmoci.handlers._wasmtime.prototypes import finalizer_t, wasi_output_callback_t, without_result
from wasmoci.stdio import Sink, Streams

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from wasmoci.handlers._wasmtime.run_state import Run

    _T = TypeVar("_T")

_SETTLING = 1.0  # seconds; it takes microseconds


class OutputLost(Exception):
    """The function that receives a guest's output has raised an exception, which the run keeps; not an errno for the guest."""


class _Answer(ctypes.Structure):
    """The answer of a callback: the number of bytes that were written, or a negative errno."""

    _fields_ = (("answered", ctypes.c_uint32), ("result", ctypes.c_int64))


class GuardedSink(Sink):
    """A sink that raises ``OSError``, which is the guest's own affair, and :exc:`OutputLost`, which ends it.

    Any exception of a function that takes the output is kept, to be raised after the run.

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
            raise OutputLost
        try:
            self._sink.write(data)
        except BaseException as error:
            if self.descriptor is not None and isinstance(error, OSError):
                raise
            self._run.fail(error)
            raise OutputLost from error


class Loan:
    """An output that wasmtime uses during a run; afterwards the store is closed.

    A thread that calls Python while the interpreter ends is ended by that, which the engine takes for a panic and aborts the
    process. So nothing of it may be left.

    Args:
        sink: Where the output goes.
        run: Keeps what the sink raises.
    """

    def __init__(self, sink: Sink, run: Run) -> None:
        self.sink = GuardedSink(sink, run)
        self.returned = threading.Event()
        self.is_over = False
        self.answer = _Answer()
        self.key = ctypes.addressof(self.answer)
        _loans[self.key] = self

    def pass_to(self, setter: Callable[..., None], config: int) -> None:
        """Set it as an output of a WASI configuration."""
        setter(config, _entry, self.key, _release)

    def end(self) -> None:
        """End wasmtime's use of it."""
        if self.returned.wait(_SETTLING):
            del _loans[self.key]
        else:  # it may still come, and find a place for its answer
            self.is_over = True


@without_result(wasi_output_callback_t)  # type: ignore[untyped-decorator]
def _take(key: int, data: int | None, size: int) -> None:
    loan = _loans[key]
    if loan.is_over:
        return
    _thread.serves_engine = True
    try:
        loan.sink.write(ctypes.string_at(data, size) if data else b"")
        loan.answer.result = size
        loan.answer.answered = _ANSWERED
    except OSError as error:
        loan.answer.result = -(error.errno or errno.EIO)
        loan.answer.answered = _ANSWERED
    except OutputLost:
        pass
    finally:
        _thread.serves_engine = False


_ANSWERED = 1
_MASK = 0xFFFF_FFFF_FFFF_FFFF
[_address] = addresses(
    [
        Entry(
            _take, Marked.FIRST, _Answer.answered.offset, _ANSWERED, 0, -errno.EIO & _MASK, result=_Answer.result.offset
        )
    ]
)
_entry = wasi_output_callback_t(_address)


@finalizer_t  # type: ignore[untyped-decorator]
def _release(key: int) -> None:
    loan = _loans.get(key)
    if loan is not None:
        loan.returned.set()


def on_own_thread(function: Callable[[], _T], stop: Callable[[], None]) -> _T:
    """Call a function on a thread that may run a guest.

    That isn't one of wasmtime's, where another guest's output is taken, nor one whose call-backs come to another interpreter.

    Args:
        function: What to call.
        stop: Ends it, when the waiting is interrupted.

    Raises:
        EngineError: No thread of this interpreter can run one.
    """
    if _interpreter.reached() and not getattr(_thread, "serves_engine", False):
        return function()

    def run() -> _T:
        _interpreter.require_reached("wasmtime")
        return function()

    return on_thread(run, stop=stop)


def guarded(streams: Streams, run: Run) -> Streams:
    """Yield streams with guarded outputs."""
    return streams.with_outputs(GuardedSink(streams.stdout, run), GuardedSink(streams.stderr, run))


_thread: Any = threading.local()
_loans: dict[int, Loan] = {}
