"""Moves this process to a root directory that contains only the guest's root and mounts.

It takes a mount namespace, and a user namespace where this process may not mount. In the new root each place is bound
under a name of the jail's, so that nothing tells where on the host it is. A process that waits for its guest can have the root
ready, still empty, in a namespace beside that with the host's files: an :class:`Anteroom`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from wasmoci.isolation.jail.kernel import call, libc, syscall
from wasmoci.isolation.jail.process import has_one_thread, limit_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_NEWNS, _NEWUSER = 0x0002_0000, 0x1000_0000  # CLONE_*
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # on every architecture
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_CLONE_TREE = 1 | os.O_CLOEXEC  # OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
_FROM_DESCRIPTOR, _TO_DESCRIPTOR = 0x04, 0x40  # MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
_OPENAT2 = 437  # on every architecture
_BENEATH_WITHOUT_LINKS = 0x02 | 0x04 | 0x08  # RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
_READ_ONLY, _NO_SETUID, _NO_EXECUTION = 0x1, 0x2, 0x8  # MOUNT_ATTR_*
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18
_MNT_DETACH = 2
_CAP_SYS_ADMIN = 21

_BASE = b"/proc"  # a directory that is there for sure, and that nothing needs any more

EMPTY = "empty"
"""The name of a directory in the new root that is empty, and stays so."""
_NOTHING = "nothing"  # the same of a file

_OPTIONS = b"size=64k,nr_inodes=4096,mode=755"


@attrs.frozen
class Place:
    """A file or directory of the guest.

    Args:
        path: Where it is, an absolute path of this process's.
        read_only: Whether it may only be read.
        hidden: Paths in it, without a slash before them, at which the guest sees a mount and nothing of this place.
    """

    path: str
    read_only: bool
    hidden: tuple[str, ...] = ()


class NoNamespace(OSError):
    """This process may neither mount nor create a user namespace to do so."""


@attrs.frozen
class Anteroom:
    """The state of a process that has prepared a private root, and still has access to the host's files.

    Args:
        host: The mount namespace with the host's files, in which the process is, by a descriptor.
        above: The process's root in it, by a descriptor.
        jail: The mount namespace with the root that is ready, by a descriptor.
        proc: The process's directory of procfs, by a descriptor.
        is_mapped: Whether the process is in a user namespace of its own already. Then the mounts are those of when it was made.
    """

    host: int
    above: int
    jail: int
    proc: int
    is_mapped: bool

    @property
    def descriptors(self) -> set[int]:
        """The descriptors that have to stay open while the process waits."""
        return {self.host, self.above, self.jail, self.proc}


def may_mount() -> bool:
    """Return whether this process may mount without a user namespace."""
    status = Path("/proc/self/status").read_bytes()
    effective = next((line for line in status.splitlines() if line.startswith(b"CapEff:")), b": 0")
    return bool(int(effective.split()[1], 16) >> _CAP_SYS_ADMIN & 1)


def prepare(meanwhile: Callable[[str], None]) -> Anteroom:
    """Prepare a root for :func:`move`.

    Args:
        meanwhile: Called in the root, with its path. There is no other file.

    Raises:
        OSError: There can be none, or not ahead. The process may have entered namespaces, and is good for nothing else.
    """
    with contextlib.ExitStack() as stack:

        def keep(path: str, flags: int, **options: int) -> int:
            descriptor = os.open(path, flags | os.O_CLOEXEC, **options)
            stack.callback(os.close, descriptor)
            return descriptor

        proc = keep("/proc/self", os.O_PATH | os.O_DIRECTORY)
        is_mapped = not may_mount()
        if is_mapped:
            _separate(proc)
        host = keep("ns/mnt", os.O_RDONLY, dir_fd=proc)
        above = keep("/", os.O_PATH | os.O_DIRECTORY)
        call(libc.unshare, _NEWNS)
        call(libc.mount, None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)
        _make_root()
        _pivot()
        os.chdir("/")
        meanwhile("/")
        if not has_one_thread(proc):  # a thread has the same root
            raise OSError(errno.EBUSY, "a thread was left")
        jail = keep("ns/mnt", os.O_RDONLY, dir_fd=proc)
        call(libc.setns, host, _NEWNS)
        os.fchdir(above)
        os.chroot(".")  # which a namespace's root isn't always
        stack.pop_all()
    return Anteroom(host, above, jail, proc, is_mapped)


def move(places: Sequence[Place], anteroom: Anteroom | None = None) -> tuple[Place, ...]:
    """Move this process to a root that contains only some files and directories.

    Args:
        places: What is to be there.
        anteroom: Where this process waits, which it leaves.

    Returns:
        The places, under their paths in the new root.

    Raises:
        NoNamespace: There can be no such root. All files are where they were.
        OSError: A place is gone, or the kernel refuses something else. The process is good for nothing more.
    """
    with contextlib.ExitStack() as stack:
        if anteroom is None:
            proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, proc)
            is_mapped = _separate(proc)
        else:
            proc, is_mapped = anteroom.proc, anteroom.is_mapped
            for descriptor in anteroom.descriptors:
                stack.callback(os.close, descriptor)
        trees = [stack.enter_context(_clone(place)) for place in places]
        if anteroom is None:
            _make_root()
            _become_root()
        else:
            call(libc.setns, anteroom.jail, _NEWNS)
        _furnish(places, trees)
        if not is_mapped:
            with contextlib.suppress(OSError):  # a user who may mount needs none; it is one wall more
                _enter_user_namespace(proc)
    return tuple(Place(f"/{index}", place.read_only) for index, place in enumerate(places))


def _make_root() -> None:
    """Mount an empty root on the working directory."""
    call(libc.mount, b"wasmoci-jail", _BASE, b"tmpfs", ctypes.c_ulong(_NO_SETUID), _OPTIONS)
    os.chdir(_BASE)
    os.mkdir(EMPTY, 0o555)
    _make(_NOTHING, is_directory=False)


def _furnish(places: Sequence[Place], trees: Sequence[int]) -> None:
    """Mount files and directories in the root, and make it read-only."""
    for index, tree in enumerate(trees):
        name = str(index)
        _make(name, is_directory=stat.S_ISDIR(os.fstat(tree).st_mode))
        syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, name.encode(), _FROM_DESCRIPTOR)
    _set_attributes(_AT_FDCWD, b".", _READ_ONLY)
    for index, place in enumerate(places):
        for path in place.hidden:
            _hide(str(index), path)


def _separate(proc: int) -> bool:
    """Enter a mount namespace, if necessary in a new user namespace; return whether that was created."""
    try:
        try:
            call(libc.unshare, _NEWNS)
            is_mapped = False
        except PermissionError:
            _enter_user_namespace(proc, _NEWNS)
            is_mapped = True
        try:
            call(libc.mount, None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)
        except OSError:  # the root is no mount, as in a chroot; all that is mounted here is mounted there
            call(libc.mount, None, _BASE, None, ctypes.c_ulong(_MS_PRIVATE), None)
    except OSError as error:
        raise NoNamespace(error.errno, error.strerror) from None
    return is_mapped


def _enter_user_namespace(proc: int, also: int = 0) -> None:
    """Enter a user namespace that maps only this process's own user and group.

    Args:
        proc: This process's directory of procfs.
        also: More namespaces, as ``CLONE_*``.
    """
    user, group = os.geteuid(), os.getegid()
    call(libc.unshare, _NEWUSER | also)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    limit_threads()


@contextlib.contextmanager
def _clone(place: Place) -> Iterator[int]:
    """Return a descriptor of a copy of the mounts at and beneath a path.

    What is mounted in the clone is mounted nowhere else, and nothing can be executed there.
    """
    try:
        tree = syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(place.path), _CLONE_TREE | _AT_RECURSIVE)
    except OSError as error:
        raise OSError(error.errno, error.strerror, place.path) from None
    try:
        attributes = _NO_SETUID | _NO_EXECUTION | (_READ_ONLY if place.read_only else 0)
        _set_attributes(tree, b"", attributes, propagation=_MS_PRIVATE, flags=_AT_EMPTY_PATH | _AT_RECURSIVE)
        yield tree
    finally:
        os.close(tree)


def _make(name: str, *, is_directory: bool) -> None:
    if is_directory:
        os.mkdir(name, 0o755)
    else:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))


def _hide(place: str, path: str) -> None:
    """Cover a path beneath a mount with an empty file or directory, if it exists."""
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _BENEATH_WITHOUT_LINKS)  # struct open_how
    root = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        found = syscall(_OPENAT2, root, os.fsencode(path), how, len(how))
    except OSError as error:
        # What leads there by a link the guest's path resolution doesn't take for the place of the mount either.
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return
        raise
    finally:
        os.close(root)
    try:
        cover = EMPTY if stat.S_ISDIR(os.fstat(found).st_mode) else _NOTHING
        with _clone(Place(cover, read_only=True)) as tree:
            syscall(_MOVE_MOUNT, tree, b"", found, b"", _FROM_DESCRIPTOR | _TO_DESCRIPTOR)
    finally:
        os.close(found)


def _set_attributes(directory: int, path: bytes, attributes: int, *, propagation: int = 0, flags: int = 0) -> None:
    wanted = struct.pack("=QQQQ", attributes, 0, propagation, 0)  # struct mount_attr
    syscall(_MOUNT_SETATTR, directory, path, flags, wanted, len(wanted))


def _become_root() -> None:
    """Make the working directory the root, and unmount the old one."""
    try:
        _pivot()
    except OSError:
        # Where the root is no mount, as in a chroot. Without capabilities nobody leaves one.
        os.chroot(".")
    os.chdir("/")


def _pivot() -> None:
    syscall(_PIVOT_ROOT[os.uname().machine], b".", b".")
    call(libc.umount2, b".", _MNT_DETACH)
