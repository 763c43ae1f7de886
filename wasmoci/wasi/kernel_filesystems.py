"""Recognises files of the kernel's own file systems, such as procfs, to which guests get no access.

Such files give access to the kernel and its processes: procfs has the memory, the environment and the descriptors of
the engine's own process. They are recognised by the kernel's information on an open file, never by a path.
"""

from __future__ import annotations

import functools
import os
import re

from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.errors import EngineUnavailable
from wasmoci.wasi.abi import Errno
from wasmoci.wasi.errno import Refusal

if TYPE_CHECKING:
    from types import ModuleType

#: Magic number -> name as in ``/proc/filesystems``.
NAMES = {
    0x9FA0: "proc",
    0x6265_6572: "sysfs",
    0x0027_E0EB: "cgroup",
    0x6367_7270: "cgroup2",
    0x0000_1CD1: "devpts",
    0x1980_0202: "mqueue",
    0x6462_6720: "debugfs",
    0x7472_6163: "tracefs",
    0x7363_6673: "securityfs",
    0x6265_6570: "configfs",
    0xCAFE_4A11: "bpf",
    0xDE5E_81E4: "efivarfs",
    0x6165_676C: "pstore",
    0xF97C_FF8C: "selinuxfs",
    0x4341_5D53: "smackfs",
    0x5A3C_69F0: "apparmorfs",
    0x6E73_6673: "nsfs",
    0x5049_4446: "pidfs",
    0x4249_4E4D: "binfmt_misc",
    0x6573_5543: "fusectl",
    0x0765_5821: "resctrl",
    0x6C6F_6F70: "binder",
    0x6E66_7364: "nfsd",
    0x6759_6969: "rpc_pipefs",
    0xABBA_1974: "xenfs",
    0x9FA1: "openpromfs",
    0x9FA2: "usbdevfs",
}
#: devtmpfs is recognised by its name alone: its magic number is that of tmpfs.
_MOUNTED = frozenset({*NAMES.values(), "devtmpfs"})
_MOUNTS = "/proc/self/mountinfo"


class MountPoint(NamedTuple):
    """A mounted file system.

    Args:
        identifier: The kernel's mount ID.
        device: Its ``st_dev``.
        path: The mount point, as this process sees it.
        kind: The file system's name.
    """

    identifier: int
    device: int
    path: bytes
    kind: str

    @property
    def is_kernels(self) -> bool:
        """Whether it is one of the kernel's own; devtmpfs counts as one."""
        return self.kind in _MOUNTED


def mount_points() -> list[MountPoint]:
    """Return the mounts of this process's mount namespace.

    Raises:
        OSError: procfs isn't mounted for this process itself.
    """
    with open(_MOUNTS, "rb") as file:  # noqa: PTH123 - pathlib isn't needed for anything else
        lines = file.read().splitlines()
    found = []
    for line in lines:
        place, _, source = line.partition(b" - ")
        identifier, _, device, _, path, _ = place.split(b" ", 5)
        major, _, minor = device.partition(b":")
        kind = source.partition(b" ")[0].decode(errors="replace")
        found.append(MountPoint(int(identifier), os.makedev(int(major), int(minor)), _plain(path), kind))
    return found


def mount_of(fd: int) -> int:
    """Return the mount ID of the mount through which a file was opened.

    Raises:
        OSError: procfs isn't mounted for this process itself.
    """
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:  # noqa: PTH123
        lines = dict(line.split(b":", 1) for line in file.read().splitlines() if b":" in line)
    return int(lines[b"mnt_id"])


def filesystem_of(fd: int) -> str | None:
    """Return the name of the kernel's file system that an open file belongs to; ``None`` for any other file system.

    Args:
        fd: Its descriptor, which may be one with ``O_PATH``.

    Raises:
        OSError: As ``fstatfs(2)`` says.
    """
    return NAMES.get(_calls().filesystem(fd))


@functools.cache
def _calls() -> ModuleType:
    try:
        from wasmoci.wasi import syscalls  # noqa: PLC0415  ctypes, which a sub-interpreter may lack
    except ImportError as error:
        raise EngineUnavailable(
            f"nobody can tell in this interpreter which files are the kernel's: {error}",
            hint="run the guest from the main interpreter",
        ) from error
    return syscalls


def refuse(fd: int) -> None:
    """Refuse a file of the kernel's file systems, with ``ACCES``.

    Args:
        fd: Its descriptor, which stays open.
    """
    if filesystem_of(fd) is not None:
        raise Refusal(Errno.ACCES)


def _plain(path: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), path)


class Devices:
    """Determines the kernel's file system that a file belongs to from its ``stat`` result.

    The table of mounts is read once, and only for a file that isn't on a disk.
    """

    def __init__(self) -> None:
        self._kinds: dict[int, str | None] | None = None

    def kind(self, path: str | os.PathLike[str], device: int) -> str | None:
        """Return the name of the kernel's file system that a file belongs to; ``None`` for any other file system.

        Args:
            path: Its host path.
            device: Its ``st_dev``.

        Raises:
            OSError: The kernel reported an error.
        """
        if os.major(device):  # a disk; the kernel's file systems have no major number
            return None
        if self._kinds is None:
            try:
                self._kinds = {mount.device: mount.kind if mount.is_kernels else None for mount in mount_points()}
            except OSError:
                self._kinds = {}
        if device in self._kinds:
            return self._kinds[device]
        # A subvolume with a device number of its own, a mount in another mount namespace, or procfs isn't mounted here.
        fd = os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
        try:
            return filesystem_of(fd)
        finally:
            os.close(fd)
