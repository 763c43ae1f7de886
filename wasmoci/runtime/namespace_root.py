"""What those find who enter the mount namespace of a Wasm container: the container's own root.

The engine's process has the staged root. On top of that, at ``/`` of the namespace, lies the container's root file system once
more: a process that enters the namespace, as ``podman cp`` does, comes to what lies on top, and one whose root is beneath
keeps its own.

``exec`` is the exception, as its process is an engine's. It is made in a copy of the namespace that has nothing on top. The
native runtime is led there by what it finds at ``/proc/PID/ns``, in a mount namespace of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.runtime import spec_substitution
from wasmoci.runtime.staging import ROOTFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NEWNS, _NEWUSER = 0x0002_0000, 0x1000_0000  # CLONE_*
_MS_BIND, _MS_REC, _MNT_DETACH = 4096, 16384, 2

_libc = ctypes.CDLL(None, use_errno=True)


def door(mark: str) -> str:
    """A path that leads to the staged root, is in no other root, and that no image or guest can know.

    Args:
        mark: The container's random mark.
    """
    return f"/.{mark}"


def cover(pid: int, mark: str) -> None:
    """Put a container's root file system on top of its mount namespace.

    Nothing is done where that isn't a namespace of the container's own.

    Args:
        pid: The container's first process.
        mark: The container's mark.

    Raises:
        OSError: The process has ended, or the kernel refuses it.
    """

    def act() -> None:
        if os.path.lexists(door(mark)):
            _call(_libc.mount, os.fsencode(ROOTFS), b"/", None, ctypes.c_ulong(_MS_BIND | _MS_REC), None)

    with _visitor(pid, act):
        pass


@contextlib.contextmanager
def uncovered(pid: int, mark: str) -> Iterator[int]:
    """A process in a copy of a container's mount namespace that has no cover.

    Args:
        pid: The container's first process.
        mark: The container's mark.

    Raises:
        OSError: The process has ended, or the kernel refuses something.
    """

    def act() -> None:
        _call(_libc.unshare, _NEWNS)
        if not os.path.lexists(door(mark)):
            _call(_libc.umount2, b"/", _MNT_DETACH)

    with _visitor(pid, act) as visitor:
        yield visitor


def replace(pid: int, visitor: int, directory: Path) -> None:
    """Move this process to a mount namespace in which another process's stands at the place of a container's in ``/proc``.

    Args:
        pid: The container's first process.
        visitor: The other process.
        directory: A directory to mount on.

    Raises:
        OSError: The kernel refuses something.
    """
    spec_substitution.enter()
    spec_substitution.directory(str(directory))
    theirs = f"/proc/{pid}/ns"
    for name in os.listdir(theirs):  # noqa: PTH208  names alone
        # By links: a mount of a namespace's file depends on which of two namespaces the kernel takes for the older one.
        target = f"/proc/{visitor}/ns/mnt" if name == "mnt" else f"/proc/{pid}/task/{pid}/ns/{name}"
        (directory / name).symlink_to(target)
    spec_substitution.cover(theirs, str(directory))


@contextlib.contextmanager
def _visitor(pid: int, act: Callable[[], None]) -> Iterator[int]:
    """A process in the user and mount namespaces of another one, which waits there when it has done something.

    Args:
        pid: The other process.
        act: What it does.

    Raises:
        OSError: It couldn't.
    """
    told, tell = os.pipe()
    wait, release = os.pipe()
    visitor = os.fork()
    if visitor == 0:
        number = 0
        try:
            os.close(release)
            _join(pid)
            act()
        except OSError as error:
            number = error.errno or 1
        finally:
            os.write(tell, number.to_bytes(4, "little"))
            os.read(wait, 1)
            os._exit(0)
    try:
        os.close(tell)
        os.close(wait)
        number = int.from_bytes(os.read(told, 4), "little")
        if number:
            raise OSError(number, os.strerror(number), f"/proc/{pid}/ns/mnt")
        yield visitor
    finally:
        os.close(release)
        os.close(told)
        os.waitpid(visitor, 0)


def _join(pid: int) -> None:
    kinds = [("user", _NEWUSER), ("mnt", _NEWNS)]
    descriptors = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), flag) for name, flag in kinds]
    own = os.stat("/proc/self/ns/user")  # noqa: PTH116
    for descriptor, flag in descriptors:
        if flag != _NEWUSER or not os.path.samestat(os.fstat(descriptor), own):  # the own one can't be entered again
            _call(_libc.setns, descriptor, flag)


def _call(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
