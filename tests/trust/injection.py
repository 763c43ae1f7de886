"""Makes a guest's calls of its host fail, at every line that they come by: a harness for faults, and not a list of cases.

A trace function raises at the n-th event within a call-back: before its first line, as a signal's handler or a recursion that is too
deep does, at each line of each function that it calls, and so at each stage of it: while the arguments are read, in the middle of the
call, while results are written to the guest's memory, and while the answer is given.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wasmoci

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_PACKAGE = str(Path(wasmoci.__file__).parent)
_ENTRIES = {
    ("_wasmtime/calls.py", "called"),
    ("_wasm3/calls.py", "_called"),
    ("_wasmer/embedded_run.py", "called"),
    ("_wasmer/tunnel_service.py", "_take_call"),
}
"""Where the Python of a call-back begins, on each engine."""


class Injected(Exception):
    """A fault that no code knows of."""


class Fault:
    """Raises at one event within one call-back, or only counts the events.

    Args:
        kind: What is raised.
        at: The number of the event; None for none.
        skip: How many call-backs come before.

    Attributes:
        events: How many there were.
        raised: Whether it was raised.
    """

    def __init__(self, kind: type[BaseException], at: int | None, skip: int) -> None:
        self.events = 0
        self.raised = False
        self._kind = kind
        self._at = at
        self._skip = skip
        self._entry: FrameType | None = None

    def trace(self, frame: FrameType, event: str, _value: object) -> Any:
        """The trace function."""
        if self._entry is None:
            if event != "call" or not _is_entry(frame):
                return None
            self._skip -= 1
            if self._skip != -1:
                return None
            self._entry = frame
        elif not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        if frame is self._entry and event == "return":
            self._entry = None  # nothing is left that could fail
            return None
        if event != "exception" and not self._is_finalizing(frame):
            self.events += 1
            if self.events == self._at:
                self.raised = True
                raise self._kind("injected")
        return self.trace

    def _is_finalizing(self, frame: FrameType | None) -> bool:
        """Whether a line belongs to the end of some object, which is no part of the call, and whose errors go nowhere."""
        while frame is not None and frame is not self._entry:
            if frame.f_code.co_name == "__del__":
                return True
            frame = frame.f_back
        return False


def _is_entry(frame: FrameType) -> bool:
    code = frame.f_code
    return any(code.co_name == name and code.co_filename.endswith(file) for file, name in _ENTRIES)


@contextlib.contextmanager
def injected(kind: type[BaseException], at: int | None = None, *, skip: int = 0) -> Iterator[Fault]:
    """Have a fault meanwhile, on this thread and on those that are started; see :class:`Fault`."""
    fault = Fault(kind, at, skip)
    before, before_there = sys.gettrace(), threading.gettrace()
    sys.settrace(fault.trace)
    threading.settrace(fault.trace)
    try:
        yield fault
    finally:
        sys.settrace(before)
        threading.settrace(before_there)  # type: ignore[arg-type]  None is no trace function
