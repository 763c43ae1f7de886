"""Where caches of code are, and whether anybody else could have put something there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from wasmoci.errors import UnsafePlace
from wasmoci.host import user_namespace
from wasmoci.host.private_paths import open_directory

VARIABLE = "WASMOCI_CACHE"
SIZE_VARIABLE = "WASMOCI_CACHE_SIZE"
OFF = "off"
MODULES = "modules"

DEFAULT_SIZE = 2 << 30  # bytes
_SYSTEM = Path("/var/cache/wasmoci")  # root's
_SIZE = r"([0-9]+)(?:([kKMGT])(i?)B?)?"


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
    descriptor, real = opened(directory)
    os.close(descriptor)
    if writable and not os.access(real, os.W_OK | os.X_OK):
        raise Unusable(f"{real}: can't be written to")
    return Path(real)


def opened(directory: Path) -> tuple[int, str]:
    """The same directory's descriptor, which is the caller's to close, and its path without links.

    Raises:
        Unusable: See :func:`private`.
    """
    try:
        return open_directory(directory)
    except UnsafePlace as error:
        raise Unusable(reason(error)) from None
    except OSError as error:
        raise Unusable(f"{error.filename or directory}: {error.strerror}") from None


def reason(error: UnsafePlace) -> str:
    """What is wrong with a place and what to do about it, in one line."""
    return error.message if error.hint is None else f"{error.message}; {error.hint}"
