"""Derives the spec with which the native runtime creates a Wasm container from the caller's.

Its process is the engine's, and its root is a staged directory that holds nothing but mounts: the system's libraries, the
interpreter, the engine, all read-only, and beneath :data:`ROOTFS` the container's root file system with the mounts on it. So
cgroups, namespaces, seccomp, hooks and terminals are the native runtime's, as for any container.
"""

from __future__ import annotations

import contextlib
import os
import posixpath

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedWorkload
from wasmoci.oci.annotations import OPENING, decides
from wasmoci.oci.filesystem import KERNEL_FILESYSTEMS
from wasmoci.oci.init_program import stepped_over
from wasmoci.runtime import closed_paths
from wasmoci.runtime.mount_destinations import Destinations
from wasmoci.wasi.kernel_filesystems import Devices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from wasmoci.runtime.interpreter import Interpreter

ROOTFS = "/.container"
"""Where the guest's files are in the staged root."""

COMPILED = "/.compiled"
"""Where the guest's module is in it, compiled."""

EXECUTED = "/.executed"
"""Where the module of an ``exec`` is, compiled, for that one alone; for all others an empty file."""

_MEMBERS = frozenset({"process", "root", "mounts", "annotations", "linux", "hooks"})
_OF_ROOT = frozenset({"path", "readonly"})
_OF_PROCESS = frozenset({"args", "env", "cwd", "capabilities", "noNewPrivileges"})
_IN_CONTAINER = "startContainer"
_KERNEL_PLACES = ("/proc", "/sys", "/dev")
_SAFE = ("nosuid", "nodev")
_NOTHING: tuple[str, ...] = ()
_SCRATCH = {
    "destination": "/tmp",  # noqa: S108  of the container's own
    "type": "tmpfs",
    "source": "tmpfs",
    "options": ["nosuid", "nodev", "noexec", "mode=1777"],
}
_PROC = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}


@attrs.frozen(kw_only=True)
class Stage:
    """The additions to the caller's spec.

    Args:
        root: The staged root, a host path.
        rootfs: The container's root file system, a host path.
        interpreter: What runs the engine.
        variables: The engine process's environment, as ``NAME=value``.
        compiled: The compiled module, a host path; None where the engine compiles by itself.
        keep_annotations: Whether the native runtime may see the annotations that make a container Wasm. One that has engines
            of its own would use them.
    """

    root: Path
    rootfs: Path
    interpreter: Interpreter
    variables: Sequence[str]
    compiled: Path | None = None
    keep_annotations: bool = True


def derive(document: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
    """Derive the spec.

    Args:
        document: The caller's ``config.json``, which is valid.
        stage: What it gets in addition.
    """
    _refuse_hooks(document.get("hooks"))
    derived = _plain(document, _MEMBERS)
    derived["process"] = engine_process(derived["process"], stage.interpreter, stage.variables)
    readonly = bool(derived["root"].get("readonly"))
    derived["root"] = {**_plain(derived["root"], _OF_ROOT), "path": str(stage.root), "readonly": True}
    destinations = Destinations(stage.rootfs)
    derived["mounts"] = [*_mounts(document.get("mounts") or (), stage, destinations)]
    derived["process"]["cwd"] = _beneath_rootfs(destinations.resolve(document["process"].get("cwd") or "/"))
    linux = document.get("linux") or {}
    closed = closed_paths.translated(linux, destinations, ROOTFS, readonly=readonly)
    if linux or closed:
        # An empty list where there was one: without it a native runtime may have places of its own.
        given: dict[str, list[str]] = {name: [] for name in closed_paths.MEMBERS & linux.keys()}
        derived["linux"] = {**_plain(linux, closed_paths.MEMBERS), **given, **closed}
    annotations = derived.get("annotations") or {}
    # The engine's sandbox is the container, which no annotation opens.
    dropped = {key for key in annotations if key in OPENING or (not stage.keep_annotations and decides(key))}
    if dropped:
        derived["annotations"] = {key: value for key, value in annotations.items() if key not in dropped}
    return derived


def engine_process(process: Mapping[str, Any], interpreter: Interpreter, variables: Sequence[str]) -> dict[str, Any]:
    """Return a ``process`` that runs an engine for the program of another one.

    Args:
        process: The other one; its user, terminal, limits and labels stay.
        interpreter: What runs the engine.
        variables: Its environment, as ``NAME=value``.
    """
    return {
        **_plain(process, _OF_PROCESS),
        "args": [*interpreter.command, *stepped_over(process["args"])],
        "env": list(variables),
        "cwd": "/",
        "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
        "noNewPrivileges": True,
    }


def _plain(document: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """An object without what a native runtime would take for one of the members that are ours: see :mod:`wasmoci.native.checks`."""
    folded = {name.casefold() for name in names}
    return {
        key: value for key, value in document.items() if key in names or key.partition("\0")[0].casefold() not in folded
    }


def _refuse_hooks(hooks: object) -> None:
    """Refuse hooks that are programs of the container's: there is no native process in it that could become one.

    Raises:
        UnsupportedWorkload: There is one.
    """
    for name, entries in hooks.items() if isinstance(hooks, dict) else ():
        if name.partition("\0")[0].casefold() == _IN_CONTAINER.casefold() and entries:
            raise UnsupportedWorkload(
                f"$.hooks.{_IN_CONTAINER}: such a hook is a native program of the container's files, and would run with the engine's",
                hint="use createRuntime, createContainer or poststart, which run with the host's files",
            )


def _beneath_rootfs(place: str) -> str:
    return ROOTFS if place == "/" else ROOTFS + place


def _mounts(
    mounts: Iterable[Mapping[str, Any]], stage: Stage, destinations: Destinations
) -> Iterable[Mapping[str, Any]]:
    outer = [dict(mount) for mount in mounts if _is_the_kernels(mount)]
    if all(_normal(mount["destination"]) != "/proc" for mount in outer):
        outer.append(_PROC)
    yield from outer
    yield _SCRATCH
    yield _bind(str(stage.rootfs), ROOTFS, "rbind", "rw")
    devices = Devices()
    for mount in mounts:
        if _is_seen(mount) and not _holds_the_kernels(mount, devices):
            place = destinations.add(mount)
            yield {**mount, "destination": ROOTFS + place}
    # Above all others: wherever a mount of the container's has come to lie, the engine is what we have put there.
    for path in stage.interpreter.directories:
        yield _bind(path, path, "bind", "ro")
    if stage.compiled is not None:
        yield _bind(str(stage.compiled), COMPILED, "bind", "ro")


def _bind(source: str, destination: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": source, "options": [*options, *_SAFE]}


def _is_the_kernels(mount: Mapping[str, Any]) -> bool:
    """Whether the engine's process, or the native runtime itself, needs a mount at its own place."""
    if mount.get("type") in KERNEL_FILESYSTEMS:
        return True
    return _is_kernel_place(mount) or (mount.get("type") == "tmpfs" and _normal(mount["destination"]) == "/dev")


def _is_seen(mount: Mapping[str, Any]) -> bool:
    """Return whether the guest sees a mount, which excludes those of the kernel's interfaces."""
    options = mount.get("options") or _NOTHING
    is_bind = mount.get("type") == "bind" or "bind" in options or "rbind" in options
    return (mount.get("type") not in KERNEL_FILESYSTEMS or is_bind) and not _is_kernel_place(mount)


def _holds_the_kernels(mount: Mapping[str, Any], devices: Devices) -> bool:
    """Return whether a mount has one of the kernel's file systems as its source, which guests can't access."""
    source = mount.get("source") or ""
    if not os.path.isabs(source):  # noqa: PTH117  a method takes longer
        return False
    with contextlib.suppress(OSError):  # what isn't there is the native runtime's to report
        return devices.kind(source, os.stat(source).st_dev) is not None  # noqa: PTH116
    return False


def _is_kernel_place(mount: Mapping[str, Any]) -> bool:
    """Whether one of the host's own kernel interfaces is bound to its usual place, as it is where a namespace is shared."""
    place = _normal(mount["destination"])
    source = mount.get("source") or ""
    return mount.get("type") != "tmpfs" and place == source and place.split("/")[1] in {p[1:] for p in _KERNEL_PLACES}


def _normal(destination: str) -> str:
    return posixpath.normpath("/" + destination.lstrip("/"))
