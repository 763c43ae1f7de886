"""Waits for what comes about by itself: long enough for a busy machine, and for ever for nothing."""

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
    """What a function gives: what is wanted, once it does, or what it gives when there is no more patience.

    Args:
        look: Looks at something that changes.
        wanted: What it is to become.
    """
    deadline = time.monotonic() + PATIENCE
    while (seen := look()) != wanted and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return seen


def wait_for(what: str, holds: Callable[[], object]) -> None:
    """Wait until something holds.

    Args:
        what: What is waited for, for the message when it never comes.
        holds: Whether it is there.
    """
    assert settled(lambda: bool(holds()), wanted=True), f"waited in vain for {what}"


def ended(pid: int) -> bool:
    """Whether a process ends, which may be no child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE)[0])
    finally:
        os.close(descriptor)
