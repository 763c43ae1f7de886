"""What another process has compiled for this one, where there is no cache to put it in: in memory, until it is loaded."""

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
"""Entries that may wait to be loaded; the oldest one is given up for the next."""

_held: dict[str, int] = {}  # names, and descriptors of files in memory
_lock = threading.Lock()


def names() -> KeysView[str]:
    """The names of the entries that are here."""
    return _held.keys()


def put(name: str, data: bytes) -> None:
    """Hold an entry.

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
    """What a function makes of an entry's code, which isn't held any longer then; None where it isn't here."""
    with _lock:
        descriptor = _held.pop(name, None)
    if descriptor is None:
        return None
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        return load(f"/proc/self/fd/{descriptor}")
