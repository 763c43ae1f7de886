"""The containers that a native runtime knows of, those of other programs among them."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_ATTEMPTS = 100


def listed(runtime: str | Path = "runc") -> list[dict[str, Any]]:
    """What its ``list`` says, which fails when somebody else's container goes while it looks."""
    for _ in range(_ATTEMPTS):
        done = subprocess.run([runtime, "list", "--format", "json"], capture_output=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout) or []
        time.sleep(0.02)
    raise AssertionError(done.stderr.decode())
