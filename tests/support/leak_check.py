"""Context managers which check that a block leaves no descriptors, children or threads behind."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from wasmoci.testing.leak_check import children, descriptors, threads

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Expect that a block leaves no descriptor open that wasn't open before, even if it fails.

    Descriptors may have disappeared: those that earlier tests left to the garbage collector are closed at any time.
    """
    before = descriptors()
    try:
        yield
    finally:
        assert descriptors() - before == set()


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Expect the same for descriptors, children and threads."""
    before = children(), threads()
    with no_descriptor_left():
        yield
    assert (children() - before[0], threads() - before[1]) == (set(), set())
