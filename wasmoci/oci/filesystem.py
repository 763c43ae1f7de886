"""Determines which of the host's files a guest sees: the root file system, and the mounts on it.

:func:`plan` reads that from a spec; nothing is opened or created before :meth:`~wasmoci.oci.guest_files.GuestFiles.materialise`.
"""

from __future__ import annotations

import os
import posixpath
import stat
from pathlib import Path

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidMount
from wasmoci.oci.closed_paths import close
from wasmoci.oci.guest_files import GuestFiles, GuestMount
from wasmoci.oci.texts import check_guest_text, check_host_path
from wasmoci.wasi.kernel_filesystems import Devices

if TYPE_CHECKING:
    from wasmoci.oci.spec import Mount, Spec

KERNEL_FILESYSTEMS = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"})
"""Mount types that are left out, because a guest has no use for them."""

_NO_SOURCE = ("", "none")


def plan(spec: Spec, rootfs: Path) -> GuestFiles:
    """Read a guest's file system from its spec.

    Args:
        spec: The spec; its mounts are those of section "Mounts" of the OCI runtime specification.
        rootfs: The host directory that is the guest's ``/``.

    Raises:
        InvalidMount: A source is missing, a destination is invalid, or the type is not supported for a guest.
        InvalidSpec: A path is no text for a guest, or no path of the host.
    """
    mounts: dict[str, GuestMount] = {}
    above: set[str] = set()  # the directories that lead to them
    omitted: list[tuple[str, str]] = []
    devices = Devices()
    if spec.process is not None:
        check_guest_text(spec.process.cwd, "$.process.cwd")
    for index, mount in enumerate(spec.mounts):
        where = f"$.mounts[{index}]"
        check_guest_text(mount.destination, f"{where}.destination")
        check_host_path(mount.source or "", f"{where}.source")
        destination = _destination(mount, where)
        if mount.type in KERNEL_FILESYSTEMS and not _is_bind(mount):
            omitted.append((destination, mount.type or ""))
            continue
        seen = _guest_mount(spec, mount, destination, where, devices)
        if isinstance(seen, str):
            omitted.append((destination, seen))
            continue
        # A mount hides the earlier ones at and below its destination.
        mounts.pop(destination, None)
        if destination in above:
            for hidden in [path for path in mounts if path.startswith(destination + "/")]:
                del mounts[hidden]
        mounts[destination] = seen
        parent = posixpath.dirname(destination)
        while parent not in above:
            above.add(parent)
            parent = posixpath.dirname(parent)
    files = GuestFiles(
        rootfs=rootfs,
        read_only=spec.root is not None and spec.root.readonly,
        cwd=normalised(spec.process.cwd if spec.process else "/"),
        mounts=tuple(mounts.values()),
        omitted=tuple(omitted),
    )
    linux = spec.raw.get("linux")
    if not isinstance(linux, dict) or not (linux.get("maskedPaths") or linux.get("readonlyPaths")):
        return files
    return close(files, linux)


def normalised(path: str) -> str:
    """An absolute guest path without what it can be written without."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _destination(mount: Mount, where: str) -> str:
    parts = [part for part in mount.destination.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidMount(f'{where}.destination: {mount.destination!r} has a ".."; a plain absolute path was expected')
    if not parts:
        raise InvalidMount(f"{where}.destination: {mount.destination!r} is the root itself, which $.root gives")
    return "/" + "/".join(parts)


def _is_bind(mount: Mount) -> bool:
    return mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options


def _guest_mount(spec: Spec, mount: Mount, destination: str, where: str, devices: Devices) -> GuestMount | str:
    """Return what a guest sees of a mount; for one whose source is the kernel's, only the name of that file system."""
    flags = [option for option in mount.options if option in ("ro", "rro", "rw")]
    read_only = bool(flags) and flags[-1] != "rw"
    if _is_bind(mount):
        if mount.source is None or mount.source in _NO_SOURCE:
            raise InvalidMount(f"{where}.source: is missing; a bind mount needs the host path to mount")
        source = Path(mount.source)
        if not mount.source.startswith("/"):
            source = Path(spec.directory or os.curdir, source).absolute()
        mode, kind = _look(source, destination, where, devices)
        if kind is not None:
            return kind
        return GuestMount(destination=destination, source=source, read_only=read_only, is_file=not stat.S_ISDIR(mode))
    if mount.type == "tmpfs":
        return GuestMount(destination=destination, source=None, read_only=read_only)
    found = "a mount without a type" if mount.type is None else repr(mount.type)
    raise InvalidMount(
        f"{where}.type: {found} at {destination} can't be given to a Wasm guest; bind or tmpfs was expected",
        hint="mount it on the host, and bind it into the container",
    )


def _look(source: Path, destination: str, where: str, devices: Devices) -> tuple[int, str | None]:
    """Return the mode of a mount's source, and the kernel's file system that it belongs to."""
    try:
        status = os.stat(source)  # noqa: PTH116  a method takes longer
        return status.st_mode, devices.kind(source, status.st_dev)
    except FileNotFoundError:
        problem = "doesn't exist on the host"
    except OSError as error:
        problem = f"can't be reached on the host: {error.strerror}"
    raise InvalidMount(f"{where}.source: {source} {problem}; it was to be mounted at {destination}")
