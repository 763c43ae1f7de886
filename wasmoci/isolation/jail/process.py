"""Drops or limits what a process has besides files: descriptors, capabilities, resources, environment."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import stat
import struct
import time
from pathlib import Path

from wasmoci.isolation.jail.kernel import call, libc

DESCRIPTORS = 1280
"""How many descriptors the process may have: those of its guest, and some of the host's."""
THREADS = 256
"""How many threads it may have, where the kernel counts them apart from the user's others."""
ADDRESSES = 256 << 30
"""Bytes of addresses that it may use beside those that it has: engines reserve many, and each costs the kernel a table."""

_LIMITS = {
    resource.RLIMIT_CORE: 0,  # the guest's memory is nobody's file
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_NICE: 0,
    resource.RLIMIT_RTPRIO: 0,
    resource.RLIMIT_SIGPENDING: 64,
    resource.RLIMIT_NOFILE: DESCRIPTORS,
}
_LOOKS = 50
_PAUSE = 0.001  # seconds
_VERSION_3 = 0x2008_0522  # of struct __user_cap_header_struct, which has two sets of each kind
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _CLEAR_ALL = 24, 47, 4
_CAPABILITIES = 64
_PR_SET_DUMPABLE = 4
# A prototype of our own: that of the library's function is everybody's.
_prctl = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, *[ctypes.c_ulong] * 4, use_errno=True)(("prctl", libc))


def has_one_thread(proc: int | None = None) -> bool:
    """Return whether this process has a single thread; a thread that was just joined may take a moment to end.

    Args:
        proc: Its directory of procfs, by a descriptor, where that can't be found.
    """
    tasks = os.open(
        "/proc/self/task" if proc is None else "task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc
    )
    try:
        for _ in range(_LOOKS):
            if len(os.listdir(tasks)) == 1:
                return True
            time.sleep(_PAUSE)
    finally:
        os.close(tasks)
    return False


def keep_only(descriptors: set[int]) -> None:
    """Close all descriptors except some."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in descriptors:
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))


def limit_resources() -> None:
    """Set the process's resource limits; a limit that is lower already stays."""
    for kind, most in _LIMITS.items():
        _lower(kind, most)
    held = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
    _lower(resource.RLIMIT_AS, held + ADDRESSES)


def limit_threads() -> None:
    """Limit the threads of this process, in a user namespace of its own, because the kernel doesn't limit those of root."""
    _lower(resource.RLIMIT_NPROC, THREADS)


def drop_capabilities() -> None:
    """Drop all capabilities, irreversibly.

    Raises:
        OSError: The kernel refuses it.
    """
    with contextlib.suppress(OSError):  # without the right to drop these there is none to gain
        for number in range(_CAPABILITIES):
            call(_prctl, _PR_CAPBSET_DROP, number, 0, 0, 0)
    with contextlib.suppress(OSError):  # before Linux 4.3 there are none
        call(_prctl, _PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    call(libc.capset, struct.pack("=Ii", _VERSION_3, 0), bytes(24))


def hide() -> None:
    """Prevent other processes of the user from inspecting this one, and core dumps."""
    call(_prctl, _PR_SET_DUMPABLE, 0, 0, 0, 0)


def forget_environment() -> None:
    """Clear the environment."""
    os.environ.clear()


def _lower(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (bound, bound))


def replace_directories(descriptors: set[int], empty: int) -> None:
    """Replace each directory among some descriptors by an empty one, as a directory gives access to all files beneath it.

    Args:
        descriptors: The descriptors.
        empty: That of the empty directory.
    """
    for number in descriptors:
        with contextlib.suppress(OSError):  # it isn't open
            if stat.S_ISDIR(os.fstat(number).st_mode):
                os.dup2(empty, number)
