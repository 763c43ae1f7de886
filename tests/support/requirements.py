"""Skips tests whose requirements are missing, and fails them instead where everything has to be installed."""

from __future__ import annotations

import os

import pytest

REQUIRE_ALL = os.environ.get("WASMOCI_REQUIRE_ALL") == "1"

_MODE, *WANTED = os.environ.get("WASMOCI_REAL", "all").split(",")

SMOKE = _MODE == "smoke"
"""Whether to run only a part of long tests whose results don't depend on the version of Python; see :mod:`tests.support.heavy`."""


def require(present: object, reason: str) -> None:
    """Continue when something is present; otherwise skip the test, or fail it with ``WASMOCI_REQUIRE_ALL=1``.

    Args:
        present: A true value if it is present, such as ``shutil.which("crun")`` or ``importlib.util.find_spec("wasm3")``.
        reason: What is missing, and how to get it.
    """
    if present:
        return
    if REQUIRE_ALL:
        pytest.fail(f"WASMOCI_REQUIRE_ALL=1, and {reason}", pytrace=False)
    pytest.skip(reason)
