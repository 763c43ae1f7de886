"""Calls the command as a shell would."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMMAND = (sys.executable, "-m", "wasmoci")
LIMIT = 60  # seconds after which a call counts as hanging


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without the settings of whoever runs the tests."""
    kept = {
        name: value for name, value in os.environ.items() if name == "WASMOCI_CACHE" or not name.startswith("WASMOCI_")
    }
    return {**kept, "XDG_CONFIG_HOME": "/nonexistent", **variables}


def wasmoci(
    *args: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Call the command, and wait for its end.

    Args:
        args: Its arguments.
        stdin: What it reads.
        env: Variables to set for it.
        options: As for ``subprocess.run``.
    """
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=LIMIT,
        env=environment(**(env or {})),
        **options,
    )
