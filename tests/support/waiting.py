"""Waits for conditions, long enough for a busy machine, but never forever."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0  # seconds
_PAUSE = 0.02

Seen = TypeVar("Seen")


def settled(look: Callable[[], Seen], wanted: Seen) -> Seen:
    """Poll a function until it returns a value, or the time is up; return its last result.

    Args:
        look: Called repeatedly.
        wanted: The expected result.
    """
    deadline = time.monotonic() + PATIENCE
    while (seen := look()) != wanted and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return seen


def wait_for(what: str, holds: Callable[[], object]) -> None:
    """Wait until something holds.

    Args:
        what: What is waited for, for the message if it never happens.
        holds: Whether it holds.
    """
    assert settled(lambda: bool(holds()), wanted=True), f"waited too long for {what}"


def ended(pid: int) -> bool:
    """Return whether a process has ended; it need not be a child of this one."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE)[0])
    finally:
        os.close(descriptor)
