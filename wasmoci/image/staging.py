"""Directories that appear whole or not at all, and what a killed process left behind.

A directory is made under a hidden name next to its place, held with ``flock``, and renamed when it is complete. The lock
goes with the process, so whoever finds such a directory unlocked knows that its maker is gone, and removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from typing import TYPE_CHECKING

from wasmoci.host.removal import remove_tree
from wasmoci.host.temporary_directory import discard
from wasmoci.text import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PREFIX = ".wasmoci-"
_NEVER_WAITING = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
"""Of what is found under a name: a FIFO in the place of a lock would be waited for."""
_PAUSE = 0.05


@contextlib.contextmanager
def staged(parent: Path, label: str) -> Iterator[Path]:
    """Make a private directory (mode 0700) that is removed at the end, unless it was renamed by then.

    Args:
        parent: An existing directory, on the host.
        label: What it becomes; part of its name, by which :func:`sweep` finds it.
    """
    path, fd = _create(parent, label)
    try:
        yield path
    finally:
        try:
            if _same(path, fd):
                discard(path)
        finally:
            os.close(fd)


def sweep(parent: Path, label: str | None = None, *, before: Callable[[Path], None] | None = None) -> int:
    """Remove what processes that are gone left of :func:`staged`; return how many directories that were.

    What can't be removed is a warning, and stays for the next time. What another user has put there isn't touched.

    Args:
        parent: The directory to look in; nothing happens when it is missing.
        label: Only those of this label.
        before: Called with each before it is removed.
    """
    wanted = _PREFIX if label is None else f"{_PREFIX}{label}."
    removed = 0
    try:
        names = [path.name for path in parent.iterdir() if path.name.startswith(wanted)]
    except OSError:
        return 0
    for name in names:
        path = parent / name
        with contextlib.suppress(OSError), hold(path, exclusive=True, wait=False) as held:
            if held:
                if path.lstat().st_uid != os.geteuid():
                    continue
                if before is not None:
                    before(path)
                try:
                    remove_tree(path)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    log.warn(__name__, f"{path}: can't be removed: {error.filename}: {error.strerror}")
                else:
                    removed += 1
    return removed


@contextlib.contextmanager
def hold(path: Path, *, exclusive: bool = False, wait: bool = True) -> Iterator[bool]:
    """Lock a directory or file that exists.

    Args:
        path: On the host.
        exclusive: Alone, or together with other holders.
        wait: Wait for it; else yield False when it is taken.

    Yields:
        Whether it is held; False also when it was replaced or removed meanwhile.

    Raises:
        OSError: It isn't there.
    """
    fd = os.open(path, os.O_RDONLY | _NEVER_WAITING)
    try:
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield _same(path, fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path, *, remove: bool = False, waiting: Callable[[], object] | None = None) -> Iterator[int]:
    """Hold a lock file exclusively, made where it is missing; yields its descriptor.

    It may be unlinked or renamed by whoever holds it: those who wait notice and start over.

    Args:
        path: The file, on the host.
        remove: Unlink it at the end.
        waiting: Called again and again while somebody else holds it; raises when that takes too long. None waits for ever.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _NEVER_WAITING, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "is not a regular file", str(path))
            _lock(fd, waiting)
            if _same(path, fd):
                try:
                    yield fd
                finally:
                    if remove:
                        path.unlink(missing_ok=True)
                return
        finally:
            os.close(fd)


def _lock(fd: int, waiting: Callable[[], object] | None) -> None:
    if waiting is None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        waiting()
        time.sleep(_PAUSE)


def _create(parent: Path, label: str) -> tuple[Path, int]:
    while True:
        path = parent / f"{_PREFIX}{label}.{secrets.token_hex(6)}"
        path.mkdir(mode=0o700)
        # Someone who sweeps may take the lock, and the directory away, before it is held here: then once more.
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _same(path, fd):
                return path, fd
            os.close(fd)


def _same(path: Path, fd: int) -> bool:
    try:
        there, held = path.lstat(), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
