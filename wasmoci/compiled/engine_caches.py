"""Limits the size of the cache that an engine keeps in a directory next to ours."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WASMER = "wasmer"


def trim(directory: Path, room: int) -> int:
    """Remove the least recently used files until the rest fits into a number of bytes.

    Args:
        directory: The host path of the cache; it need not exist.
        room: Bytes that may stay.

    Returns:
        The number of bytes removed.
    """
    total = removed = 0
    for _, size, path in sorted(_files(directory), reverse=True):
        total += size
        if total > room:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108  as it was listed
                removed += size
    return removed


def _files(directory: Path) -> Iterator[tuple[float, int, str]]:
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                yield max(status.st_atime, status.st_mtime), status.st_size, path
