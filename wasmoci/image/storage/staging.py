"""Creates directories atomically, and removes what killed processes left behind.

A directory is created under a hidden name next to its destination, locked with ``flock``, and renamed when it is
complete. The kernel releases the lock when the process ends, so an unlocked directory of this kind is abandoned, and is
removed.
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
"""Flags for opening an existing path: opening a FIFO in place of a lock must not block."""
_PAUSE = 0.05


@contextlib.contextmanager
def staged(parent: Path, label: str) -> Iterator[Path]:
    """Create a private directory (mode 0700) that is removed at the end, unless it has been renamed.

    Args:
        parent: An existing directory, on the host.
        label: Its purpose; part of its name, by which :func:`sweep` finds it.
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
    """Remove directories of :func:`staged` that dead processes left behind; return their number.

    A directory that can't be removed causes a warning, and stays. Those of another user aren't touched.

    Args:
        parent: The directory to look in; nothing happens when it is missing.
        label: Only directories with this label.
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


def remove_held(path: Path) -> None:
    """Remove a directory that is held exclusively: under its name it is whole or not there, also when this is interrupted.

    Nothing is made for it, for which a full disk would have no room.
    """
    hidden = path.with_name(f"{_PREFIX}removed.{secrets.token_hex(6)}")
    path.rename(hidden)
    discard(hidden)


@contextlib.contextmanager
def hold(path: Path, *, exclusive: bool = False, wait: bool = True) -> Iterator[bool]:
    """Lock an existing directory or file.

    Args:
        path: On the host.
        exclusive: Exclusively, or shared with other holders.
        wait: Wait for it; otherwise yield False when it is taken.

    Yields:
        Whether it is locked; False also when it was replaced or removed meanwhile.

    Raises:
        OSError: It doesn't exist.
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
    """Hold a lock file exclusively, created if it is missing; yields its descriptor.

    Its holder may unlink or rename it: those who wait notice that and start over.

    Args:
        path: The file, on the host.
        remove: Unlink it at the end.
        waiting: Called repeatedly while another process holds it; raises an exception when that takes too long. None
            waits forever.
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
        # A sweeping process may take the lock and remove the directory before it is locked here: then retry.
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
