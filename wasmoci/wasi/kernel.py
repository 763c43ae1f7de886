"""The kernel's own file systems, of which a guest gets nothing, whichever way it comes to one.

What is there is no file but a way into the kernel and its processes: in procfs the memory, the environment and the descriptors of
the engine's own. They are told by what the kernel says of an open file, never by a path.
"""

from __future__ import annotations

from wasmoci.wasi.abi import Errno
from wasmoci.wasi.failure import Refusal

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
    0x0187: "autofs",
}
#: Those that are told apart by their name alone: its magic number is that of tmpfs, of which a guest may have any.
DEVICES = "devtmpfs"


def filesystem_of(fd: int) -> str | None:
    """Give the name of the kernel's file system that an open file belongs to; ``None`` when it belongs to another.

    Args:
        fd: Its descriptor; one with ``O_PATH`` will do.

    Raises:
        OSError: As ``fstatfs(2)`` says.
    """
    from wasmoci.wasi import linux  # noqa: PLC0415 - ctypes, which importing this package shall not cost

    return NAMES.get(linux.filesystem(fd))


def refuse(fd: int) -> None:
    """Refuse a file of the kernel's, with ``ACCES``.

    Args:
        fd: Its descriptor, which stays open.
    """
    if filesystem_of(fd) is not None:
        raise Refusal(Errno.ACCES)
