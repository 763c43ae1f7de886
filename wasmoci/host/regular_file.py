"""Opens a file that another party named or created, and raises an error at once if it isn't a regular file.

Opening a FIFO waits for a writer, reading a terminal or a socket waits for input, and opening a device can have any
effect.
"""

from __future__ import annotations

import errno
import os
import stat

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | Path, *, follow: bool = True) -> int:
    """Open a regular file for reading; return its descriptor.

    Args:
        path: A host path.
        follow: Whether the file itself may be a symbolic link.

    Raises:
        OSError: It can't be opened, or isn't a regular file; ``strerror`` says what it is.
    """
    # Checked before opening, because opening a device can have an effect; and again afterwards, because it may have
    # been replaced.
    try:
        found = os.stat(path, follow_symlinks=follow)  # noqa: PTH116  pathlib is for who needs it
    except ValueError:
        raise OSError(errno.EINVAL, "its name has a NUL byte", str(path)) from None
    _check(found.st_mode, path)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        _check(os.fstat(descriptor).st_mode, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(
    path: str | Path,
    most: int,
    *,
    follow: bool = True,
    pipe: bool = False,
    check: Callable[[os.stat_result], None] | None = None,
) -> bytes:
    """Return a regular file's content, or its first ``most + 1`` bytes if it is longer.

    Args:
        path: A host path.
        most: The maximum size in bytes that such a file can have.
        follow: Whether the file itself may be a symbolic link.
        pipe: Whether it may be a pipe that this process was given, as by a shell's ``<(command)``; a FIFO in a file
            system is refused.
        check: Called with the ``stat`` result of the open file; raises an exception to refuse it.

    Raises:
        OSError: It can't be read, or isn't a regular file; ``strerror`` says what it is.
    """
    given = pipe and _is_given_pipe(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if given else open_regular(path, follow=follow)
    with os.fdopen(descriptor, "rb") as file:
        if check is not None:
            check(os.fstat(descriptor))
        return file.read(most + 1)


def _is_given_pipe(path: str | Path) -> bool:
    target = os.path.realpath(path)
    return target.rpartition("/")[2].startswith("pipe:[") and not os.path.lexists(target)


def _check(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise OSError(errno.EINVAL, f"it is {kind}; expected a regular file", str(path))
