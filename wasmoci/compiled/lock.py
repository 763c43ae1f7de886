"""Locks between processes that are released when their holder dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsafePlace
from wasmoci.host.private_paths import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 600.0
"""Seconds to wait for the lock. A compiler may take minutes, but one that is stopped must not stop all others."""

_FLAGS = os.O_RDWR | os.O_CREAT
_SHORTEST, _LONGEST = 0.001, 0.05  # seconds between two attempts


@contextlib.contextmanager
def lock(directory: int, name: str, *, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold a lock file, which is removed afterwards; yields False when another process holds it for too long.

    Args:
        directory: The descriptor of the directory that the file is in.
        name: The file's name.
        patience: Seconds to wait.

    Raises:
        OSError: The file can't be made or locked.
    """
    deadline = time.monotonic() + patience
    pause = _SHORTEST
    while (descriptor := _attempt(directory, name)) is None:
        if time.monotonic() > deadline:
            yield False
            return
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)
        # Closing alone is not enough: a child that was forked meanwhile has the descriptor, too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _attempt(directory: int, name: str) -> int | None:
    try:
        descriptor = open_file(name, directory, _FLAGS)
    except UnsafePlace as error:
        raise OSError(errno.EPERM, error.message) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have removed the file after it was opened here.
        if _is_there(directory, name, descriptor):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_there(directory: int, name: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=directory, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
