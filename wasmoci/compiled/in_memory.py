"""Holds code that another process has compiled for this one in memory, where there is no cache on disk."""

from __future__ import annotations

import contextlib
import os
import threading

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, KeysView
    from typing import TypeVar

    _T = TypeVar("_T")

_MOST = 16
"""The maximum number of entries that wait to be loaded; the oldest one is dropped for the next."""

_held: dict[str, int] = {}  # names, and descriptors of files in memory
_lock = threading.Lock()


def names() -> KeysView[str]:
    """Return the names of the entries that are held."""
    return _held.keys()


def put(name: str, data: bytes) -> None:
    """Hold an entry in memory.

    Args:
        name: Its name.
        data: Its code.
    """
    descriptor = os.memfd_create("wasmoci-compiled", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
    except BaseException:
        os.close(descriptor)
        raise
    with _lock:
        given_up = [_held.pop(name, None)]
        if len(_held) >= _MOST:
            given_up.append(_held.pop(next(iter(_held))))
        _held[name] = descriptor
    for old in given_up:
        if old is not None:
            os.close(old)


def take(name: str, load: Callable[[str], _T | None]) -> _T | None:
    """Return the result of a function that loads an entry's code, and drop the entry; None where it isn't held."""
    with _lock:
        descriptor = _held.pop(name, None)
    if descriptor is None:
        return None
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        return load(f"/proc/self/fd/{descriptor}")
