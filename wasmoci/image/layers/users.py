"""Resolves the image's ``User`` by its own ``/etc/passwd`` and ``/etc/group``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import InvalidImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.image.layers.rootfs import Rootfs

_MAX_FILE = 4 << 20
_MAX_ID = 2**32 - 2


@attrs.frozen
class User:
    """The ``process.user`` of a runtime spec, and the home directory.

    Args:
        uid: User ID in the container.
        gid: Group ID.
        groups: Supplementary groups.
        home: A guest path.
    """

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def look_up(rootfs: Rootfs, text: str) -> User:
    """Resolve ``user``, ``uid``, ``user:group`` and the other forms of config.md.

    Args:
        rootfs: The image's root file system; links in it are resolved inside.
        text: The image's ``User``; empty for root.

    Raises:
        InvalidImage: A name isn't in the image's ``/etc/passwd`` or ``/etc/group``, or a number is out of range.
    """
    name, _, group = text.partition(":")
    name = name or "0"
    entry = next((fields for fields in _lines(rootfs, "passwd", 6) if name in (fields[0], fields[2])), None)
    if entry is None and not name.isdigit():
        raise InvalidImage(f"User is {text!r}, and the image's /etc/passwd has no {name!r}")
    uid = _number(entry[2] if entry else name, text)
    gid = _number(entry[3], text) if entry else 0
    home = (entry[5] if entry else "") or "/"
    if group:
        return User(uid, _group(rootfs, group, text), (), home)
    members: tuple[int, ...] = ()
    if entry is not None:
        found = (_number(f[2], text) for f in _lines(rootfs, "group", 4) if entry[0] in f[3].split(","))
        members = tuple(sorted({number for number in found if number != gid}))
    return User(uid, gid, members, home)


def _group(rootfs: Rootfs, group: str, text: str) -> int:
    for fields in _lines(rootfs, "group", 3):
        if group in (fields[0], fields[2]):
            return _number(fields[2], text)
    if not group.isdigit():
        raise InvalidImage(f"User is {text!r}, and the image's /etc/group has no {group!r}")
    return _number(group, text)


def _lines(rootfs: Rootfs, name: str, fields: int) -> Iterator[list[str]]:
    fd = rootfs.open_file(("etc", name))
    if fd is None:
        return
    with os.fdopen(fd, "rb") as file:
        text = file.read(_MAX_FILE).decode("utf-8", "replace")
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) >= fields:
            yield parts


def _number(text: str, user: str) -> int:
    if not text.isdigit() or not text.isascii() or int(text[:11]) > _MAX_ID:
        raise InvalidImage(f"User is {user!r}: {text!r} is not a number from 0 to {_MAX_ID}")
    return int(text)
