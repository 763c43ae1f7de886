"""Lists the containers of a native runtime, including those of other programs."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_ATTEMPTS = 100


def listed(runtime: str | Path = "runc") -> list[dict[str, Any]]:
    """Return the output of ``list``, which fails when another program's container disappears meanwhile."""
    for _ in range(_ATTEMPTS):
        done = subprocess.run([runtime, "list", "--format", "json"], capture_output=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout) or []
        time.sleep(0.02)
    raise AssertionError(done.stderr.decode())
