"""Restricts this process by Landlock to certain files, without TCP, and without signals to processes outside.

The interface is that of ``landlock(7)``; each version of it (ABI) handles more than the one before.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import struct
from typing import TYPE_CHECKING

from wasmoci.isolation.jail.kernel import syscall

if TYPE_CHECKING:
    from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # on every architecture
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH

WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG, MAKE_SYM, REFER, TRUNCATE = 1 << 7, 1 << 8, 1 << 12, 1 << 13, 1 << 14

_READ = READ_FILE | READ_DIR
_WRITE = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE
_OF_FILES = READ_FILE | WRITE_FILE | TRUNCATE  # of what isn't a directory

# The highest bit of the files' rights by ABI: MAKE_SYM, REFER, TRUNCATE, (the network), IOCTL_DEV.
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NEWEST = max(_HANDLED)
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract Unix sockets, signals
_ABI_NETWORK, _ABI_SCOPES = 4, 6
_ABI_TRUNCATE = 3


@functools.cache
def abi() -> int:
    """Return the kernel's version of Landlock's interface; 0 for none."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def holds_read_only() -> bool:
    """Return whether Landlock denies truncating a read-only file, which older versions permit."""
    return abi() >= _ABI_TRUNCATE


def restrict(places: Iterable[tuple[str | int, bool]]) -> None:
    """Deny this thread access to all files except those at and beneath some paths, irreversibly, and to TCP and the like.

    Nothing may be executed, and no device or socket be made. Requires no-new-privileges, or CAP_SYS_ADMIN.

    Args:
        places: Paths or descriptors, and whether each may only be read.

    Raises:
        OSError: The kernel can't.
    """
    version = abi()
    handled = _HANDLED[max(1, min(version, _NEWEST))]
    ruleset = struct.pack(
        "=QQQ", handled, _TCP if version >= _ABI_NETWORK else 0, _SCOPES if version >= _ABI_SCOPES else 0
    )
    size = 24 if version >= _ABI_SCOPES else 16 if version >= _ABI_NETWORK else 8
    descriptor = syscall(_CREATE_RULESET, ruleset, size, 0)
    try:
        for path, read_only in places:
            _allow(descriptor, path, (_READ if read_only else _READ | _WRITE) & handled)
        syscall(_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)


def _allow(ruleset: int, path: str | int, rights: int) -> None:
    with contextlib.ExitStack() as stack:
        if isinstance(path, int):
            place = path
        else:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            stack.callback(os.close, place)
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
