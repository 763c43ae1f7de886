"""A process of our own: how it begins, and how it ends.

Imports nothing of ours, and next to nothing: it is on the way of every native container.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_MANY = 50_000
"""New objects before garbage is looked for: more than a start makes, nearly all of which stay."""


def begin() -> None:
    """Don't look for garbage among what is loaded at the start, which Python does several times and for 2 ms."""
    gc.set_threshold(_MANY)


def end(status: int) -> NoReturn:
    """End without taking Python apart: that takes as long as its start, and nothing here needs it.

    Args:
        status: The exit status, of which 8 bits are told.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  as at any other end
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
    os._exit(status & 0xFF)
