"""Where the SDK keeps what it has compiled."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path


def cache_root() -> Path:
    """A directory that nobody else can write to: code from there is run unchecked.

    It is below the user's cache directory; where there can't be one, a temporary one that goes with this process.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    path = base / "wasmoci" / "wasmer"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError:
        return _temporary()
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return path if private and os.access(path, os.W_OK) else _temporary()


def _temporary() -> Path:
    path = Path(tempfile.mkdtemp(prefix="wasmoci-wasmer-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
