"""Bounds for a cache of code that an engine keeps by itself, in a directory beside our own."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WASMER = "wasmer"


def trim(directory: Path, room: int) -> int:
    """Remove the files that were used least recently, until the rest takes no more than so many bytes.

    Args:
        directory: The host path of the cache; it need not be there.
        room: Bytes that may stay.

    Returns:
        The bytes that were removed.
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
