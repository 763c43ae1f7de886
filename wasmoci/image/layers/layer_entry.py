"""Writes a single file of a layer, and sets owner, mode, times and extended attributes."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from wasmoci.errors import InvalidImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.image.streams.tar import Entry

_MAX_ID = 2**32 - 2
_MAX_SECONDS = 1 << 40


def write_file(fd: int, entry: Entry, data: Iterator[memoryview], *, owner: bool) -> None:
    """Write a new file's data and metadata.

    Args:
        fd: The file, open for writing; stays open.
        entry: The entry.
        data: Its data; for a sparse file the extents one after the other.
        owner: Set its uid and gid. Without permission to do so, the file is readable for its owner.
    """
    if entry.extents is None:
        for piece in data:
            _write(fd, piece)
    else:
        _write_extents(fd, entry.size, entry.extents, data)
    set_owner(fd, entry, owner=owner)
    # After the owner: changing the owner clears set-user-ID.
    os.fchmod(fd, entry.mode if owner else entry.mode | 0o400)
    os.utime(fd, ns=(time_of(entry), time_of(entry)))


def set_owner(fd: int, entry: Entry, *, owner: bool) -> None:
    """Set a file's or directory's owner, if ``owner``, and its extended attributes.

    Raises:
        InvalidImage: The owner is out of range.
    """
    if owner:
        os.fchown(fd, *owner_of(entry))
    for key, value in entry.xattrs.items():
        if key.startswith("user.") or (owner and key == "security.capability"):
            try:
                os.setxattr(fd, key, value)
            except OSError as error:
                # The file system may not support them, or the kernel may deny them: the file is correct without.
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise


def owner_of(entry: Entry) -> tuple[int, int]:
    """Return an entry's uid and gid.

    Raises:
        InvalidImage: They are out of range.
    """
    for what, number in (("uid", entry.uid), ("gid", entry.gid)):
        if not 0 <= number <= _MAX_ID:
            raise InvalidImage(f"{what} is {number}; expected 0 to {_MAX_ID}")
    return entry.uid, entry.gid


def time_of(entry: Entry) -> int:
    """Return an entry's time in nanoseconds, clamped to the range of file systems."""
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
