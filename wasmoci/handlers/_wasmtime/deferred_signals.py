"""Signals that come while a guest runs on the main thread, where Python's handlers run.

Python runs a handler before the first line of whatever function is called next. In a call-back of the engine nothing could take what it
raises, and a guest that only computes calls none. So for the time of a guest the kernel calls a few machine instructions in the place
of Python's own: they note the signal, and advance the engine's epoch. The guest asks its run at its next loop or call, which has
Python's handler run where its exception is kept; or the end of the run does.
"""

from __future__ import annotations

import ctypes
import functools
import signal

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers import caller_signals
from wasmoci.handlers._callback_entries import recorder
from wasmoci.handlers._wasmtime.library import library

if TYPE_CHECKING:
    from typing import Any

    from wasmoci.handlers._wasmtime.library import Owned

_ON_STACK = 0x0800_0000  # SA_ONSTACK
_SIGNALS = 65


class _State(ctypes.Structure):
    """What the machine instructions read and write; see :func:`wasmoci.handlers._callback_entries.recorder`."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (
        ("engine", ctypes.c_uint64),
        ("increment", ctypes.c_uint64),
        ("other", ctypes.c_uint64),
        ("passes", ctypes.c_uint32),
        ("low", ctypes.c_uint64),  # the bytes of the signals 0 to 7
        ("high", ctypes.c_uint64),  # 8 to 15, beyond which none is taken down
        ("rest", ctypes.c_ubyte * (_SIGNALS - 16)),
    )

    def is_noted(self) -> bool:
        """Whether a signal has been noted."""
        return bool(self.low or self.high)

    def take(self, number: int) -> bool:
        """Whether a signal has been noted; it isn't any longer."""
        noted = ctypes.c_ubyte.from_buffer(self, type(self).low.offset + number)
        found, noted.value = bool(noted.value), 0
        return found


class _Action(ctypes.Structure):
    """The C library's ``struct sigaction`` on Linux."""

    _fields_ = (
        ("handler", ctypes.c_size_t),
        ("mask", ctypes.c_ulong * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_size_t),
    )


class DeferredSignals:
    """Takes down the signals of the main thread while a guest runs on it, from :meth:`begin` to :meth:`end`.

    Args:
        engine: The guest's engine, whose stores listen for interruption.
    """

    def __init__(self, engine: Owned) -> None:
        self._engine = engine
        self._taken: list[tuple[int, _Action]] = []
        self._outer: tuple[int, int] | None = None

    def begin(self) -> None:
        """Take them down from now on; :meth:`end` has to follow, also when this raises."""
        state, ours = _shared()
        # Of a run within a run's call-back the signals are this one's meanwhile.
        self._outer = (state.engine, state.passes)
        state.engine, state.passes = self._engine.pointer, 0
        for number in caller_signals.handled() if self._outer[0] == 0 else ():
            before = _Action()
            self._taken.append((number, before))
            _libc.sigaction(number, ours, ctypes.byref(before))
            state.other = before.handler  # the same C function of Python's for all of them
        _look()

    def end(self) -> None:
        """Have everything as before. The handlers of what has been noted run, and may raise."""
        if self._outer is None:
            return
        try:
            self._restore()
        except BaseException:
            self._restore()  # a handler has raised in the middle of it
            raise
        finally:
            _deliver(_shared()[0])

    def _restore(self) -> None:
        for number, before in self._taken:
            if before.handler:  # else it wasn't changed
                _libc.sigaction(number, ctypes.byref(before), None)
        state = _shared()[0]
        state.engine, state.passes = self._outer or (0, 0)

    def deliver(self) -> None:
        """Run the handlers of what has been noted, which may raise; within a call-back that keeps what is raised."""
        if _shared()[0].is_noted():
            self.open()
            self.shut()

    def open(self) -> None:
        """Let signals come to Python, within a call-back that keeps what is raised."""
        state = _shared()[0]
        state.passes = 1
        _deliver(state)

    def shut(self) -> None:
        """Let none come any more. What has come has been handled when this returns."""
        _shared()[0].passes = 0
        _look()


def _look() -> None:
    """Have Python run the handlers of signals that have come to it, as it does at the start of a function."""


def _deliver(state: _State) -> None:
    for number in caller_signals.NUMBERS if state.is_noted() else ():
        if state.take(number):
            try:
                signal.raise_signal(number)
            finally:
                _deliver(state)
            return


_libc = ctypes.CDLL(None, use_errno=True)


@functools.cache
def _shared() -> tuple[_State, Any]:
    """The state of the process, for it has one main thread, and the handler for it."""
    state = _State()
    state.increment = ctypes.cast(library.wasmtime_engine_increment_epoch, ctypes.c_void_p).value or 0
    action = _Action()
    action.handler, action.flags = recorder(ctypes.addressof(state)), _ON_STACK
    return state, ctypes.byref(action)
