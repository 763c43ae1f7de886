"""Makes the OCI runtime spec of an image, as Podman does (OCI image spec, conversion.md).

The caller's wishes go on top: ``args`` replace ``Cmd``, as on Podman's command line, ``env`` is added, ``volumes`` are mounted.
"""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import InvalidImage, InvalidMount
from wasmoci.image.users import User, look_up
from wasmoci.image.wasm_layer import first_module

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wasmoci.image.config import ImageConfig
    from wasmoci.image.image import Image
    from wasmoci.image.rootfs import Rootfs

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VARIANT = "module.wasm.image/variant"
_HANDLER = "run.oci.handler"

# What Podman's containers have by default.
_CAPABILITIES = [
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE"),
    *("CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"),
]
_MASKED = [
    *("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/fs/selinux", "/sys/dev/block"),
]
_READ_ONLY = ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


@attrs.frozen
class Volume:
    """A host path that a container sees.

    Args:
        source: The host path, absolute.
        destination: The guest path, absolute.
        read_only: Whether the guest may only read it.
    """

    source: str
    destination: str
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Read ``HOST:GUEST[:ro|:rw]``, as Podman's ``-v``.

        Raises:
            InvalidMount: It is of another form.
        """
        source, _, rest = text.partition(":")
        destination, _, mode = rest.partition(":")
        options = [option for option in mode.split(",") if option not in ("", "z", "Z")]
        if not source or not destination.startswith("/") or set(options) - {"ro", "rw"}:
            raise InvalidMount(f"volume {text!r}: expected HOST:GUEST, HOST:GUEST:ro or HOST:GUEST:rw, GUEST absolute")
        return cls(os.path.abspath(source), destination, "ro" in options)  # noqa: PTH100  keeps links as they are


@attrs.frozen
class Wishes:
    """What a caller asks for, on top of an image.

    Args:
        args: Replaces ``Cmd``; None keeps it.
        entrypoint: Replaces ``Entrypoint``, and drops ``Cmd`` unless ``args`` are given; None keeps it.
        env: Added to the image's, the same names replaced.
        volumes: Host paths to mount.
        workdir: The working directory, an absolute guest path; None keeps the image's.
        user: As the image's ``User``; None keeps it.
        annotations: Put over the image's.
        read_only: Whether the root file system may only be read.
        terminal: Whether the process has a terminal.
    """

    args: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = attrs.field(factory=dict)
    volumes: tuple[Volume, ...] = ()
    workdir: str | None = None
    user: str | None = None
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    read_only: bool = False
    terminal: bool = False


def make_spec(
    image: Image, rootfs: Rootfs, *, wishes: Wishes, root_path: str, rootless: bool, idle: bool = False
) -> dict[str, Any]:
    """Return the ``config.json`` of an image's bundle.

    Args:
        image: The image.
        rootfs: Its root file system, where users and groups are looked up.
        wishes: The caller's part.
        root_path: ``root.path``: a host path, absolute or relative to the bundle.
        rootless: Make a spec that runc takes from an ordinary user: with a user namespace, without resources.
        idle: Leave ``process.args`` out when there is nothing to run, for somebody to write them.

    Raises:
        InvalidImage: It has nothing to run and isn't ``idle``, or its ``User`` doesn't exist.
    """
    config = image.config
    try:
        user = look_up(rootfs, config.user if wishes.user is None else wishes.user)
    except InvalidImage as error:
        raise InvalidImage(error.message, source=f"{image.blobs.name}: {image.digest}") from None
    found = arguments(image, wishes)
    if not found and not idle:
        raise InvalidImage(
            "it has neither Entrypoint nor Cmd",
            source=f"{image.blobs.name}: {image.digest}",
            hint="Say what to run, by its path in the image.",
        )
    cwd = wishes.workdir or config.working_dir or "/"
    if not cwd.startswith("/"):
        cwd = posixpath.join("/", cwd)
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": wishes.terminal,
            "user": {"uid": user.uid, "gid": user.gid} | ({"additionalGids": list(user.groups)} if user.groups else {}),
            **({"args": list(found)} if found else {}),
            "env": _environment(config, wishes, user),
            "cwd": cwd,
            "capabilities": _capabilities(user),
            "noNewPrivileges": False,
        },
        "root": {"path": root_path, "readonly": wishes.read_only},
        "hostname": "wasmoci",
        "mounts": _mounts(rootless=rootless) + [_bind(volume) for volume in wishes.volumes],
        "annotations": image_annotations(image) | dict(wishes.annotations),
        "linux": _linux(rootless=rootless),
    }


def arguments(image: Image, wishes: Wishes) -> tuple[str, ...]:
    """Return ``process.args``; empty when neither the image nor the caller says what to run."""
    config = image.config
    if wishes.entrypoint is not None:
        return wishes.entrypoint + (wishes.args or ())
    entrypoint = config.entrypoint
    if not entrypoint and not config.cmd:
        # An artifact of the CNCF's layout has no arguments: its module is the program.
        entrypoint = first_module(image)
    return entrypoint + (config.cmd if wishes.args is None else wishes.args)


def image_annotations(image: Image) -> dict[str, str]:
    """Return the annotations that an image gives its containers.

    From the lowest precedence up: what conversion.md derives from the config, the labels, the manifest's annotations. An
    image for a Wasm platform that says nothing about how it is to be run is marked as a Wasm workload.
    """
    config = image.config
    derived = {
        "org.opencontainers.image.os": config.platform.os,
        "org.opencontainers.image.architecture": config.platform.architecture,
        "org.opencontainers.image.variant": config.platform.variant,
        "org.opencontainers.image.author": config.author,
        "org.opencontainers.image.created": config.created,
        "org.opencontainers.image.stopSignal": config.stop_signal,
        "org.opencontainers.image.exposedPorts": ",".join(config.exposed_ports),
    }
    found = (
        {key: value for key, value in derived.items() if value} | dict(config.labels) | dict(image.manifest.annotations)
    )
    if image.is_wasm and not any(key == _HANDLER or key.startswith(VARIANT) for key in found):
        found[VARIANT] = "compat"
    return found


def _environment(config: ImageConfig, wishes: Wishes, user: User) -> list[str]:
    merged: dict[str, str] = {}
    for variable in config.env:
        name, equals, value = variable.partition("=")
        if equals and name:
            merged[name] = value
    merged.setdefault("PATH", DEFAULT_PATH)
    if wishes.terminal:
        merged.setdefault("TERM", "xterm")
    merged.update(wishes.env)
    merged.setdefault("HOME", user.home)
    return [f"{name}={value}" for name, value in merged.items()]


def _capabilities(user: User) -> dict[str, list[str]]:
    held = _CAPABILITIES if user.uid == 0 else []
    return {"bounding": _CAPABILITIES, "effective": held, "permitted": held}


def _bind(volume: Volume) -> dict[str, Any]:
    return {
        "destination": volume.destination,
        "type": "bind",
        "source": volume.source,
        "options": ["rbind", "rprivate", "ro" if volume.read_only else "rw"],
    }


def _mounts(*, rootless: bool) -> list[dict[str, Any]]:
    quiet = ["nosuid", "noexec", "nodev"]
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    sysfs: dict[str, Any] = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, "ro"]}
    if rootless:  # a user namespace that shares the network may not mount sysfs
        sysfs = {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", *quiet, "ro"]}
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
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


def _linux(*, rootless: bool) -> dict[str, Any]:
    namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    linux: dict[str, Any] = {"maskedPaths": _MASKED, "readonlyPaths": _READ_ONLY}
    if rootless:
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
        return linux | {"namespaces": [*namespaces, {"type": "user"}]}
    linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    return linux | {"namespaces": [*namespaces, {"type": "network"}]}
