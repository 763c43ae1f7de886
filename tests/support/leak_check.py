"""Blocks of a test that leave nothing behind in this process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from wasmoci.testing.leak_check import children, descriptors, threads

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
        assert descriptors() - before == set()


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Expect the same of descriptors, children and threads."""
    before = children(), threads()
    with no_descriptor_left():
        yield
    assert (children() - before[0], threads() - before[1]) == (set(), set())
