"""Determines the directories of the code caches, and checks that nobody but the user can write to them."""

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
    """Return the directory that contains all caches, whether it exists or not; None when caching is switched off.

    Raises:
        Unusable: No directory can be determined.
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
    """Return the maximum size of all entries together, in bytes.

    Raises:
        Unusable: The setting is not a size.
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
    """Create a directory that nobody else can write to, nor to those above; return its path without symbolic links.

    Args:
        directory: Its host path.
        writable: Whether a directory that we can't write to is an error.

    Raises:
        Unusable: It can't be created, or another user could write to it.
    """
    descriptor, real = opened(directory)
    os.close(descriptor)
    if writable and not os.access(real, os.W_OK | os.X_OK):
        raise Unusable(f"{real}: can't be written to")
    return Path(real)


def opened(directory: Path) -> tuple[int, str]:
    """Return a descriptor of the same directory, which the caller has to close, and its path without symbolic links.

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
    """Describe a problem with a path and its remedy in one line."""
    return error.message if error.hint is None else f"{error.message}; {error.hint}"
