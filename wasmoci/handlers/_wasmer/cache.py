"""Where the SDK keeps what it has compiled."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def cache_root() -> Iterator[Path]:
    """A directory that nobody else can write to: code from there is run unchecked.

    It is below the user's cache directory; where there can't be one, a temporary one, which is removed again.
    """
    path = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wasmoci" / "wasmer"
    if _is_private(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="wasmoci-wasmer-", ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)


def _is_private(path: Path) -> bool:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return ours and os.access(path, os.W_OK | os.X_OK)
