"""Determines the path of the local store."""

from __future__ import annotations

import os
from pathlib import Path


def default_store() -> Path:
    """Return the directory of the user's store, whether it exists or not."""
    chosen = os.environ.get("WASMOCI_STORE")
    if chosen:
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if data.startswith("/") else Path("~/.local/share").expanduser()) / "wasmoci"
