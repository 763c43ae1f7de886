"""Computes a value once, for all workers of pytest-xdist."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def once(tmp_path_factory: pytest.TempPathFactory, name: str, measure: Callable[[], Any]) -> Any:
    """Return the result of a function, which the first worker to ask calls; the others wait.

    Args:
        tmp_path_factory: The fixture.
        name: A name for it.
        measure: Returns a value that can be stored as JSON.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return measure()
    shared = tmp_path_factory.getbasetemp().parent / f"{name}.json"  # shared by all workers of this run
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            shared.write_text(json.dumps(measure()), encoding="utf-8")
        return json.loads(shared.read_text(encoding="utf-8"))
