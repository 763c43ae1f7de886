"""What a single file, directory or link of a layer becomes: its data, owner, mode, times and attributes."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from wasmoci.errors import InvalidImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.image.tar import Entry

_MAX_ID = 2**32 - 2
_MAX_SECONDS = 1 << 40


def write_file(fd: int, entry: Entry, data: Iterator[memoryview], *, owner: bool) -> None:
    """Fill a new file and give it what the entry says.

    Args:
        fd: The file, open for writing; stays open.
        entry: The entry.
        data: Its data, of a sparse file the extents one after the other.
        owner: Give it its uid and gid. Who can't do so gets a file that its owner can read.
    """
    if entry.extents is None:
        for piece in data:
            _write(fd, piece)
    else:
        _write_extents(fd, entry.size, entry.extents, data)
    set_owner(fd, entry, owner=owner)
    # After the owner: a change of owner takes set-user-ID away.
    os.fchmod(fd, entry.mode if owner else entry.mode | 0o400)
    os.utime(fd, ns=(time_of(entry), time_of(entry)))


def set_owner(fd: int, entry: Entry, *, owner: bool) -> None:
    """Give a file or a directory its owner, if ``owner``, and its extended attributes.

    Raises:
        InvalidImage: The owner is none that there can be.
    """
    if owner:
        os.fchown(fd, *owner_of(entry))
    for key, value in entry.xattrs.items():
        if key.startswith("user.") or (owner and key == "security.capability"):
            try:
                os.setxattr(fd, key, value)
            except OSError as error:
                # A file system without them, or a kernel that keeps them from us: the file is right without.
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise


def owner_of(entry: Entry) -> tuple[int, int]:
    """Return an entry's uid and gid.

    Raises:
        InvalidImage: They are none that there can be.
    """
    for what, number in (("uid", entry.uid), ("gid", entry.gid)):
        if not 0 <= number <= _MAX_ID:
            raise InvalidImage(f"{what} is {number}; expected 0 to {_MAX_ID}")
    return entry.uid, entry.gid


def time_of(entry: Entry) -> int:
    """Return an entry's time in nanoseconds, within what file systems know."""
    limit = _MAX_SECONDS * 10**9
    return max(-limit, min(limit, entry.mtime))


def _write(fd: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]


def _write_extents(fd: int, size: int, extents: tuple[tuple[int, int], ...], data: Iterator[memoryview]) -> None:
    os.ftruncate(fd, size)
    places = iter(extents)
    offset, left = 0, 0
    for whole in data:
        piece = whole
        while piece:
            while not left:
                offset, left = next(places)
            count = os.pwrite(fd, piece[:left], offset)
            offset, left, piece = offset + count, left - count, piece[count:]
