"""What this process has open, its children and its threads: to see that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Expect that a block leaves none open that wasn't before, whether it ends well or not.

    One that was may be gone: what earlier tests have left to the garbage collector is closed whenever that comes by.
    """
    before = descriptors()
    try:
        yield
    finally:
        assert descriptors() - before == frozenset()


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Expect the same of descriptors, children and threads."""
    processes, threads = children(), set(threading.enumerate())
    with no_descriptor_left():
        yield
    assert (children() - processes, set(threading.enumerate()) - threads) == (frozenset(), set())


def descriptors() -> frozenset[str]:
    """The numbers of all descriptors that are open now, without that of the listing itself.

    A listing takes the lowest number that is free: counted, it would name one that another thread closes meanwhile.
    """
    return frozenset(entry.name for entry in Path("/proc/self/fd").iterdir() if _is_open(int(entry.name)))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def children() -> frozenset[str]:
    """The process ids of all children, zombies among them."""
    found: set[str] = set()
    for parent in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = parent.read_text(encoding="utf-8", errors="replace").rpartition(")")
            if rest.split()[1] == str(os.getpid()):
                found.add(name.partition(" ")[0])
    return frozenset(found)
