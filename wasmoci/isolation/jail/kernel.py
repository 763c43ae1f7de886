"""Calls system calls that Python doesn't offer by number, and raises their errors as :class:`OSError`."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)

_syscall = libc.syscall
_syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call.

    Args:
        number: Its number on this architecture.
        arguments: Numbers, and bytes or buffers by their address.

    Raises:
        OSError: The kernel refused it.
    """
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _syscall(ctypes.c_long(number), *converted)
    if result < 0:
        _fail()
    return result


def call(function: Callable[..., int], *arguments: object) -> int:
    """Call a function of the C library that returns a negative number for an error.

    Raises:
        OSError: It did.
    """
    result = function(*arguments)
    if result < 0:
        _fail()
    return result


def _fail() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))
