"""Computes a guest's preopened directories, for an engine with its own WASI."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedWorkload
from wasmoci.wasi import kernel_filesystems
from wasmoci.wasi.errno import FAILURES
from wasmoci.wasi.open_tree import OpenTree
from wasmoci.wasi.path_walk import components
from wasmoci.wasi.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from wasmoci.oci.filesystem import GuestFiles


_DESCRIPTORS = Path("/proc/self/fd")
_HINT = "run a core module on an engine with wasmoci's WASI: wasmtime, wasmer or wasm3"


@attrs.frozen
class Preopen:
    """A directory that is open when the guest starts.

    Args:
        guest: What the guest is told it is called.
        host: The host path. One that begins with ``/proc/self/fd/`` is for this process; another one reaches the same
            directory with this process's id in the place of ``self``.
        read_only: Whether the guest may only read it.
    """

    guest: str
    host: bytes
    read_only: bool


def preopens(files: GuestFiles, *, by_name: bool, opens: bool = True) -> AbstractContextManager[list[Preopen]]:
    """Return the preopens: ``/``, the mounted directories, and the working directory as ``.`` if it isn't ``/``.

    With a ``.``, the C library of WASI asks it for absolute paths, too, unless another preopen's name is the beginning of
    the path. Where that can't be made good later, the directories in ``/`` are preopened by their names, but for those
    that the working directory has, too.

    Args:
        files: What the guest sees; every tmpfs has its directory.
        by_name: Whether the directories in ``/`` are added when there is a ``.``.
        opens: Whether the guest can open what is in them. An engine's own WASI opens whatever is there, so a directory is refused
            in which a file system of the kernel's is mounted, at any depth.

    Returns:
        Them in the order of their descriptors. Their host paths are valid as long as the context.

    Raises:
        InvalidInput: The root file system isn't there.
        InvalidMount: A mount isn't possible.
        UnsupportedWorkload: A file system of the kernel's is within the guest's reach; or nobody can tell.
    """
    found = [Preopen("/", os.fsencode(files.rootfs), files.read_only)]
    found += [
        Preopen(mount.destination, os.fsencode(mount.source), mount.read_only)
        for mount in files.mounts
        if mount.source is not None and not mount.is_file
    ]
    if opens:
        _refuse_kernel_files(found)
    return contextlib.nullcontext(found) if files.cwd == "/" else _with_directory(files, found, by_name=by_name)


@contextlib.contextmanager
def _with_directory(files: GuestFiles, found: list[Preopen], *, by_name: bool) -> Iterator[list[Preopen]]:
    """The same with the working directory."""
    with contextlib.closing(OpenTree(files.tree)) as tree:
        resolver, root = Resolver(tree), tree.root
        with contextlib.ExitStack() as stack:

            def opened(guest: str, path: str) -> Preopen:
                place = resolver.directory(root, components(os.fsencode(path))[0])
                stack.callback(place.close)
                return Preopen(guest, os.fsencode(_DESCRIPTORS / str(place.fd)), place.layer.read_only)

            cwd = opened(".", files.cwd)
            if by_name:
                taken = {preopen.guest[1:] for preopen in found} | _names(cwd)
                for name in sorted(_names(found[0]) - taken):
                    with contextlib.suppress(*FAILURES):  # it is no directory
                        found.append(opened(f"/{name}", f"/{name}"))
            yield [*found, cwd]


def _refuse_kernel_files(directories: list[Preopen]) -> None:
    try:
        mounts = kernel_filesystems.mount_points()
    except OSError as error:
        raise UnsupportedWorkload(
            f"/proc/self/mountinfo can't be read ({error.strerror}), so nobody can tell whether file systems of the kernel's are "
            "among the guest's files, which the engine's own WASI would open",
            hint=f"mount procfs for this process, or {_HINT}",
        ) from None
    for directory in directories:
        try:
            fd = os.open(directory.host, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # it is reported by who opens it
        try:
            kind, place = kernel_filesystems.filesystem_of(fd), os.path.realpath(b"/proc/self/fd/%d" % fd)
            is_ours = kernel_filesystems.mount_of(fd) in {mount.identifier for mount in mounts}
        finally:
            os.close(fd)
        beneath = place.rstrip(b"/") + b"/"
        inner = [mount for mount in mounts if mount.is_kernels and (mount.path + b"/").startswith(beneath)]
        if kind is None and not inner and is_ours:
            continue
        kind = kind or (inner[0].kind if inner else "what is mounted for another process")
        raise UnsupportedWorkload(
            f"{kind} is within the guest's {directory.guest}, at {os.fsdecode(inner[0].path if inner else place)}; the engine's "
            "own WASI would open it, and the kernel's file systems are closed to guests",
            hint=f"mount a directory without it, or {_HINT}",
        )


def _names(preopen: Preopen) -> set[str]:
    """Return the names in a directory that are UTF-8, as a guest's paths have to be."""
    with contextlib.suppress(OSError):
        names = {path.name for path in Path(os.fsdecode(preopen.host)).iterdir()}
        return {name for name in names if name.encode(errors="ignore").decode() == name}
    return set()
