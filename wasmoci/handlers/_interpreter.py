"""Checks which Python interpreter of the process an engine's callbacks reach, where a program embeds several.

ctypes enters a call-back with the thread state that Python keeps for the calling thread. Up to Python 3.11 that is the first one that
the thread has had, whichever interpreter it runs now; on a thread that is the engine's own it is one of the main interpreter's. A
function that is called in another interpreter than its own finds other modules, other threads' data and another context there.
"""

from __future__ import annotations

import ctypes

from wasmoci.errors import EngineError

_HINT = "choose the isolation 'process', or run the guest from the main interpreter"

# By an index they are our own, whatever others declare of them.
_current = ctypes.pythonapi["PyThreadState_Get"]
_of_call_backs = ctypes.pythonapi["PyGILState_GetThisThreadState"]
_interpreter = ctypes.pythonapi["PyInterpreterState_Get"]
_main = ctypes.pythonapi["PyInterpreterState_Main"]
for _function in (_current, _of_call_backs, _interpreter, _main):
    _function.restype, _function.argtypes = ctypes.c_void_p, ()


def reached() -> bool:
    """Return whether callbacks made on this thread reach this interpreter, with this thread's state."""
    here: int = _current()
    return bool(here == _of_call_backs())


def is_main() -> bool:
    """Return whether this is the main interpreter, which an engine's callbacks on its own threads reach."""
    here: int = _interpreter()
    return bool(here == _main())


def require_reached(engine: str) -> None:
    """Refuse to run a guest whose calls of the host would reach another interpreter.

    Args:
        engine: Its name.

    Raises:
        EngineError: They would.
    """
    if not reached():
        raise refusal(engine, "its calls of Python would come to another interpreter than this one")


def refusal(engine: str, reason: str) -> EngineError:
    """Return the error for an engine that can't run a guest in this interpreter."""
    return EngineError(f"{engine} can't run a guest in this sub-interpreter: {reason}", hint=_HINT)
