"""Where caches of code are, and whether anybody else could have put something there."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from wasmoci import user_namespace

VARIABLE = "WASMOCI_CACHE"
SIZE_VARIABLE = "WASMOCI_CACHE_SIZE"
OFF = "off"
MODULES = "modules"

DEFAULT_SIZE = 2 << 30  # bytes
_SYSTEM = Path("/var/cache/wasmoci")  # root's
_SIZE = r"([0-9]+)(?:([kKMGT])(i?)B?)?"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Unusable(Exception):
    """There can be no cache; the message says why."""


def find() -> Path | None:
    """The directory that all caches are in, be it there or not; None when they are switched off.

    Raises:
        Unusable: There is no place for it.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen == OFF:
        return None
    if chosen:
        return Path(os.path.abspath(chosen))  # noqa: PTH100  links are followed when it is checked
    base = os.environ.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "wasmoci"
    if os.geteuid() == 0 and not user_namespace.inside():
        return _SYSTEM
    try:
        return Path.home() / ".cache" / "wasmoci"
    except RuntimeError:
        raise Unusable(f"there is no home directory; set {VARIABLE} to a directory, or to {OFF}") from None


def limit() -> int:
    """The bytes that all entries may take together.

    Raises:
        Unusable: The setting is no size.
    """
    text = os.environ.get(SIZE_VARIABLE)
    if not text:
        return DEFAULT_SIZE
    match = re.fullmatch(_SIZE, text)
    if match is None:
        raise Unusable(f"{SIZE_VARIABLE} is {text!r}; bytes, or a number with a unit as in 500M or 2Gi, was expected")
    unit: int = (1024 if match[3] else 1000) ** " KMGT".index((match[2] or " ").upper())
    return int(match[1]) * unit


def private(directory: Path, *, writable: bool = False) -> Path:
    """Make a directory that nobody else can write to, nor to any above it, and give its path without links.

    Args:
        directory: Its host path.
        writable: Whether it is of no use if we can't write to it.

    Raises:
        Unusable: It can't be made, or somebody else could put things there.
    """
    try:
        _make(directory)
        for path in (directory, *directory.parents):
            _check_link(path)
        if directory.is_symlink():
            raise Unusable(f"{directory}: is a link; a directory was expected")
        real = Path(os.path.realpath(directory, strict=True))
        status = real.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise Unusable(f"{directory}: is not a directory")
        if status.st_uid != os.geteuid():
            raise Unusable(f"{directory}: belongs to the user {status.st_uid}, not to {os.geteuid()}")
        check(real, status)
        for parent in real.parents:
            _check_parent(parent)
    except OSError as error:
        raise Unusable(f"{error.filename or directory}: {error.strerror}") from None
    if writable and not os.access(real, os.W_OK | os.X_OK):
        raise Unusable(f"{real}: can't be written to")
    return real


def check(path: Path | str, status: os.stat_result) -> None:
    """Refuse a file or directory that others may write to.

    Raises:
        Unusable: They may.
    """
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise Unusable(f"{path}: others may write to it; run: chmod go-w {path}")


def _check_link(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) and status.st_uid not in (0, os.geteuid()):
        raise Unusable(f"{path}: is a link that belongs to the user {status.st_uid}")


def _check_parent(path: Path) -> None:
    status = path.lstat()
    if status.st_uid not in (0, os.geteuid()) and not user_namespace.inside():
        raise Unusable(f"{path}: belongs to the user {status.st_uid}, who could replace what is in it")
    if not status.st_mode & stat.S_ISVTX:
        check(path, status)


def _make(directory: Path) -> None:
    """Make a directory and those above it, none of which others may write to, whatever the umask says."""
    missing = [directory]
    while not os.path.lexists(missing[-1].parent):
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
