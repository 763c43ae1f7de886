"""Begins and ends a process of wasmoci: settings for a fast start, and an exit without the interpreter's cleanup.

It imports hardly anything, because it runs for every native container.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what signal is made of, which costs nothing
import atexit
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_MANY = 50_000
"""New objects before garbage is looked for: more than a start makes, nearly all of which stay."""

_UNWRITTEN = 125
"""The status of a process whose output is lost, see :class:`wasmoci.errors.WasmociError`."""


def begin() -> None:
    """Make the process fit for what it does.

    Garbage isn't looked for among what is loaded at the start, which Python does several times and for 2 ms. And whoever has started
    this may ignore its children's ends: then nobody is told their statuses, and :mod:`subprocess` takes each for 0.
    """
    gc.set_threshold(_MANY)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)


def end(status: int) -> NoReturn:
    """End without taking Python apart: that takes as long as its start, and nothing here needs it.

    Args:
        status: The exit status, of which 8 bits are told. It isn't 0 when the standard output couldn't be written.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  as at any other end
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                if stream is sys.stdout:
                    status = status or _UNWRITTEN
    os._exit(status & 0xFF)
