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
from wasmoci.runtime.staging import EXECUTED, ROOTFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NEWNS, _NEWUSER = 0x0002_0000, 0x1000_0000  # CLONE_*
_MS_REMOUNT, _MS_BIND, _MS_REC, _MNT_DETACH = 32, 4096, 16384, 2
_READ_ONLY = 1 | 2 | 4 | 8  # MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
_OPEN_TREE, _MOVE_MOUNT = 428, 429  # on every architecture
_AT_FDCWD, _CLONE_TREE, _FROM_DESCRIPTOR = -100, 1 | os.O_CLOEXEC, 0x04  # OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH

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
        _join(pid)
        if os.path.lexists(door(mark)):
            _call(_libc.mount, os.fsencode(ROOTFS), b"/", None, ctypes.c_ulong(_MS_BIND | _MS_REC), None)

    with _visitor(pid, act):
        pass


@contextlib.contextmanager
def uncovered(pid: int, mark: str, file: Path | None = None) -> Iterator[int]:
    """A process in a copy of a container's mount namespace that has no cover.

    Args:
        pid: The container's first process.
        mark: The container's mark.
        file: A host path of what is to be at :data:`wasmoci.runtime.staging.EXECUTED` there, read-only.

    Raises:
        OSError: The process has ended, or the kernel refuses something.
    """
    tree = None if file is None else _syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(file), _CLONE_TREE)

    def act() -> None:
        # While procfs is to be seen; the entry of the new namespace is looked up later.
        own = os.open(f"/proc/{os.getpid()}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _join(pid)
        _call(_libc.unshare, _NEWNS)
        if not os.path.lexists(door(mark)):
            _call(_libc.umount2, b"/", _MNT_DETACH)
            # Its root is what was on top; who enters the namespace has what was beneath.
            _call(_libc.setns, os.open("ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=own), _NEWNS)
        if tree is not None:
            place = os.fsencode(EXECUTED)
            _syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, place, _FROM_DESCRIPTOR)
            _call(_libc.mount, None, place, None, ctypes.c_ulong(_MS_REMOUNT | _MS_BIND | _READ_ONLY), None)

    try:
        with _visitor(pid, act) as visitor:
            yield visitor
    finally:
        if tree is not None:
            os.close(tree)


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
    """A process that has entered another one's namespaces, and waits there.

    Args:
        pid: The other process.
        act: Enters them.

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


def _syscall(number: int, *arguments: object) -> int:
    found = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def _call(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
