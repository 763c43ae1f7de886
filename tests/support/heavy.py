"""Skips tests that need not be repeated on every version of Python.

``WASMOCI_REAL`` says how much is wanted: ``all``, as where it isn't set, or ``smoke``, for a Python beside one that runs all. Left
out are cases that show the same on every Python, since what they try is done by something else: a native runtime, an engine's
machine code, the kernel, a check of bytes that a hostile registry has sent. No kind of test is left out:

- Of tests with the marker ``real`` those are kept that are also marked ``smoke``.
- Of each test function with the marker ``heavy`` one case is kept for each engine, on every Python another one; or the cases
  that are marked ``smoke``, if there are any.

What is another thing on this Python than on that one is run as a whole: ``smoke,wasmer`` leaves out nothing that is about wasmer.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.support.requirements import SMOKE, WANTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

ENGINES = ("wasmtime", "wasmer", "wasm3")
_MINOR = sys.version_info.minor


def left_out(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """The tests that need not run on this Python."""
    if not SMOKE:
        return set()
    left: set[pytest.Item] = set()
    groups: dict[object, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if any(name in item.name.lower() or name in _class(item) for name in WANTED):
            continue
        if item.get_closest_marker("real"):
            if not item.get_closest_marker("smoke"):
                left.add(item)
        elif item.get_closest_marker("heavy"):
            groups[item.nodeid.partition("[")[0], _engine(item)].append(item)
    for cases in groups.values():
        kept = [case for case in cases if case.get_closest_marker("smoke")] or [cases[_MINOR % len(cases)]]
        left.update(set(cases).difference(kept))
    return left


def _class(item: pytest.Item) -> str:
    found = getattr(item, "cls", None)
    return found.__name__.lower() if found else ""


def _engine(item: pytest.Item) -> str | None:
    """What a case says of the engine that it runs on, such as ``wasmtime with a mount``."""
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return next((value for value in values if isinstance(value, str) and value.startswith(ENGINES)), None)
