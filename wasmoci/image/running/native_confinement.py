"""Defines the confinement of a native program from an image: Podman's defaults, and no new privileges.

Podman leaves ``noNewPrivileges`` off by default; here nothing needs it off.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasmoci.image.running.seccomp import profile

if TYPE_CHECKING:
    from wasmoci.image.layers.users import User

CAPABILITIES = [
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE"),
    *("CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"),
]
_MASKED = [
    *("/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug"),
    *("/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
    *("/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux"),
]
_READ_ONLY = ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

_OF_THE_HOST = ["/sys/fs/cgroup", "/sys/fs/fuse"]
"""Paths in the host's sysfs that an unprivileged user may write to; only its topmost mount is read-only."""

_NAMESPACES = ("pid", "ipc", "uts", "mount", "network")
_PIDS = 2048
_UMASK = 0o022


def process(user: User) -> dict[str, Any]:
    """Return the members of ``process`` that restrict its privileges."""
    held = CAPABILITIES if user.uid == 0 else []
    return {
        "user": {
            "uid": user.uid,
            "gid": user.gid,
            "umask": _UMASK,
            **({"additionalGids": list(user.groups)} if user.groups else {}),
        },
        "capabilities": {"bounding": CAPABILITIES, "effective": held, "permitted": held},
        "noNewPrivileges": True,
    }


def linux(*, rootless: bool) -> dict[str, Any]:
    """Return ``linux``: all namespaces, the seccomp profile, the usual devices, and masked paths.

    Args:
        rootless: Write what rootless runc accepts: with a user namespace, without resources.
    """
    namespaces = [{"type": kind} for kind in _NAMESPACES]
    if Path("/proc/self/ns/cgroup").exists():
        namespaces.append({"type": "cgroup"})
    found: dict[str, Any] = {"maskedPaths": _MASKED, "readonlyPaths": _READ_ONLY, "seccomp": profile()}
    if rootless:
        return found | {
            "maskedPaths": _MASKED + _OF_THE_HOST,
            "uidMappings": [{"containerID": 0, "hostID": os.geteuid(), "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": os.getegid(), "size": 1}],
            "namespaces": [*namespaces, {"type": "user"}],
        }
    resources: dict[str, Any] = {"devices": [{"allow": False, "access": "rwm"}]}
    if _counts_processes():
        resources["pids"] = {"limit": _PIDS}
    return found | {"resources": resources, "namespaces": namespaces}


def mounts(*, rootless: bool) -> list[dict[str, Any]]:
    """Return the mounts of every container."""
    quiet = ["nosuid", "noexec", "nodev"]
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    sysfs: dict[str, Any] = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, "ro"]}
    if rootless:  # not every host permits mounting sysfs in a user namespace
        sysfs = {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", *quiet, "ro"]}
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": terminals if rootless else [*terminals, "gid=5"],
        },
        {
            "destination": "/dev/shm",  # noqa: S108  a guest path
            "type": "tmpfs",
            "source": "shm",
            "options": [*quiet, "mode=1777", "size=65536k"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
        sysfs,
    ]


def _counts_processes() -> bool:
    """Return whether this host's cgroups can limit the number of processes."""
    root = Path("/sys/fs/cgroup")
    try:
        return (root / "pids").is_dir() or "pids" in (root / "cgroup.controllers").read_text("ascii").split()
    except OSError:
        return False
