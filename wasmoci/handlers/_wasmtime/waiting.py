"""Determines whether a guest may block on its streams."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.stdio import Capture, Stream

if TYPE_CHECKING:
    from wasmoci.stdio import Source, Stdio, Target

_NULL = (1, 3)  # the number of /dev/null


def never_waits(stdio: Stdio) -> bool:
    """Return whether the guest can read and write its streams without ever blocking.

    A function that takes output doesn't count: it is the caller's own, and no process could be ended in its place.
    """
    return all(map(_never_waits, (stdio.stdin, stdio.stdout, stdio.stderr), range(3)))


def is_null(status: os.stat_result) -> bool:
    """Whether this is the device ``/dev/null``."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(*_NULL)


def _never_waits(stream: Source | Target, inherited: int) -> bool:
    if isinstance(stream, (bytes, Capture)) or stream is Stream.NULL or callable(stream):
        return True
    try:
        status = (
            stream.stat() if isinstance(stream, Path) else os.fstat(stream if isinstance(stream, int) else inherited)
        )
    except OSError:  # a path that isn't there becomes a regular file or an error, and a closed descriptor gives one
        return True
    return stat.S_ISREG(status.st_mode) or is_null(status)
