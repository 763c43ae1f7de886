"""Determines which of the host's files a guest sees: the root file system, and the mounts on it.

DESIGN: one tree. :func:`plan` reads it from a spec; nothing is opened or created before :meth:`GuestFiles.materialise`.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from pathlib import Path

from wasmoci import host
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidMount
from wasmoci.wasi.errno import FAILURES
from wasmoci.wasi.file_tree import FileTree
from wasmoci.wasi.file_tree import Mount as TreeMount
from wasmoci.wasi.kernel_filesystems import Devices
from wasmoci.wasi.open_tree import OpenTree
from wasmoci.wasi.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from wasmoci.oci.spec import Mount, Spec

KERNEL_FILESYSTEMS = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"})
"""Mount types that are left out, because a guest has no use for them."""

_NO_SOURCE = ("", "none")


@attrs.frozen(kw_only=True)
class GuestMount:
    """A mount that the guest sees.

    Args:
        destination: An absolute guest path, normalised.
        source: A host path; None for a tmpfs or an empty file that hasn't been created yet.
        read_only: Whether the guest may only read it.
        is_file: Whether it is a single file.
    """

    destination: str
    source: Path | None
    read_only: bool
    is_file: bool = False


@attrs.frozen(kw_only=True)
class GuestFiles:
    """The guest's file system.

    Args:
        rootfs: The host directory that is the guest's ``/``.
        read_only: Whether the guest may only read it. Mounts have their own flag.
        cwd: The working directory, an absolute guest path, normalised.
        mounts: In the order in which they are mounted; none hides another one completely.
        omitted: The destinations of mounts that were left out, with the type of the kernel's file system.
    """

    rootfs: Path
    read_only: bool
    cwd: str
    mounts: tuple[GuestMount, ...] = ()
    omitted: tuple[tuple[str, str], ...] = ()

    @property
    def has_file_mounts(self) -> bool:
        """Whether a mount is a single file."""
        return any(mount.is_file for mount in self.mounts)

    @property
    def tree(self) -> FileTree:
        """The same for the WASI host; each tmpfs needs its directory (:meth:`materialise`)."""
        mounts = (
            TreeMount(mount.source, mount.destination, mount.read_only)
            for mount in self.mounts
            if mount.source is not None
        )
        return FileTree(self.rootfs, self.read_only, tuple(mounts))

    def materialise(self) -> AbstractContextManager[GuestFiles]:
        """Create a directory for each tmpfs, and the empty files, until the end; yields the same files with these."""
        if all(mount.source is not None for mount in self.mounts):
            return contextlib.nullcontext(self)
        return self._with_directories()

    @contextlib.contextmanager
    def _with_directories(self) -> Iterator[GuestFiles]:
        with host.guest_temporary_directory("wasmoci-tmpfs-") as scratch:
            mounts = []
            for index, mount in enumerate(self.mounts):
                if mount.source is None:
                    source = scratch / str(index)
                    source.touch(0o444) if mount.is_file else source.mkdir()
                    mounts.append(attrs.evolve(mount, source=source))
                else:
                    mounts.append(mount)
            yield attrs.evolve(self, mounts=tuple(mounts))


def plan(spec: Spec, rootfs: Path) -> GuestFiles:
    """Read a guest's file system from its spec.

    Args:
        spec: The spec; its mounts are those of section "Mounts" of the OCI runtime specification.
        rootfs: The host directory that is the guest's ``/``.

    Raises:
        InvalidMount: A source is missing, a destination is invalid, or the type is not supported for a guest.
    """
    mounts: dict[str, GuestMount] = {}
    above: set[str] = set()  # the directories that lead to them
    omitted: list[tuple[str, str]] = []
    devices = Devices()
    for index, mount in enumerate(spec.mounts):
        where = f"$.mounts[{index}]"
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
        cwd=posixpath.normpath("/" + (spec.process.cwd if spec.process else "/").lstrip("/")),
        mounts=tuple(mounts.values()),
        omitted=tuple(omitted),
    )
    linux = spec.raw.get("linux")
    if not isinstance(linux, dict) or not (linux.get("maskedPaths") or linux.get("readonlyPaths")):
        return files
    return _closed(files, linux)


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


def _closed(files: GuestFiles, linux: Mapping[str, Any]) -> GuestFiles:
    """A guest's files, with the places closed that a spec masks or makes read-only, as runc closes them.

    A masked file is empty, so is a masked directory; what is mounted beneath a read-only place keeps its own flag; what isn't there
    does no harm.

    Args:
        files: Its files; no tmpfs has its directory yet.
        linux: ``linux`` of the spec.

    Raises:
        InvalidMount: The root itself is masked.
        InvalidInput: The root file system isn't there.
    """
    omitted = [place for place, _ in files.omitted]
    for member, masked in (("readonlyPaths", False), ("maskedPaths", True)):
        for path in _paths(linux.get(member)):
            # What the kernel's file system would lie on isn't the guest's to see in any container.
            if not any(_is_within(path, place) for place in omitted):
                files = _close(files, path, masked=masked)
    return files


def _paths(value: object) -> Iterator[str]:
    for path in value if isinstance(value, list) else ():
        if isinstance(path, str) and path and "\0" not in path:
            yield os.path.normpath("/" + path.lstrip("/"))


def _close(files: GuestFiles, path: str, *, masked: bool) -> GuestFiles:
    memory = next((m for m in files.mounts[::-1] if m.source is None and _is_within(path, m.destination)), None)
    if memory is not None:
        found = memory.destination if path == memory.destination else None  # there is nothing in it
        closed: GuestMount | None = attrs.evolve(memory, read_only=True)
    else:
        found, closed = _find(files, path, masked=masked)
    if found is None or closed is None:
        return files
    if found == "/":
        if masked:
            raise InvalidMount("$.linux.maskedPaths: the root itself is masked, so nothing is left to run")
        return attrs.evolve(files, read_only=True)
    return attrs.evolve(files, mounts=_laid(files.mounts, closed, keep=not masked))


def _laid(mounts: Sequence[GuestMount], closed: GuestMount, *, keep: bool) -> tuple[GuestMount, ...]:
    """Mounts with one more: at its place there was another one, perhaps, and what lies beneath comes after it, if it is kept."""
    place = closed.destination
    others = [mount for mount in mounts if mount.destination != place]
    beneath = [mount for mount in others if _is_within(mount.destination, place)]
    return (*(mount for mount in others if mount not in beneath), closed, *(beneath if keep else ()))


def _find(files: GuestFiles, path: str, *, masked: bool) -> tuple[str | None, GuestMount | None]:
    """Where a path leads among the guest's files, and the mount that closes it; nothing where it leads nowhere."""
    with contextlib.suppress(*FAILURES), contextlib.closing(OpenTree(files.tree)) as tree:
        flags = os.O_PATH | os.O_CLOEXEC
        name = path.lstrip("/").encode() or b"."
        descriptor, position, _ = Resolver(tree).open(tree.root, name, flags, follow=True)
        try:
            is_file = not stat.S_ISDIR(os.fstat(descriptor).st_mode)
            source = None if masked else Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        finally:
            os.close(descriptor)
        place = "/" + "/".join(os.fsdecode(part) for part in position if part != b".")
        return place, GuestMount(destination=place, source=source, read_only=True, is_file=is_file)
    return None, None


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
