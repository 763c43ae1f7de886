"""What of a container's files is on the host before it is made, for the look at its program.

Binds are, and what lies beneath a tmpfs that the native runtime fills. Of an overlay the layers are. All else is empty, or can't be
known, as a file system on a device.
"""

from __future__ import annotations

import os
import posixpath
import stat

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.oci.entrypoint import Entrypoint
from wasmoci.oci.filesystem import KERNEL_FILESYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wasmoci.oci.spec import Mount, Spec

_COPIED_UP = "tmpcopyup"


def on_host(spec: Spec) -> Spec:
    """A spec with the mounts that have files on the host, or hide some that the program could be taken for.

    Args:
        spec: The container's.
    """
    programs = Entrypoint.of(spec).candidates()
    return attrs.evolve(spec, mounts=tuple(_seen(spec.mounts, programs)))


def _seen(mounts: Sequence[Mount], programs: Sequence[str]) -> Iterator[Mount]:
    for mount in mounts:
        if _is_bind(mount) or mount.type in KERNEL_FILESYSTEMS:
            yield mount
        elif mount.type == "overlay":
            layer = _layer(mount, programs)
            if layer is not None:
                yield attrs.evolve(mount, type="bind", source=layer, options=("ro",))
        elif mount.type == "tmpfs" and _COPIED_UP not in mount.options:
            place = _normal(mount.destination)
            if any(_beneath(program, place) for program in programs):
                yield mount


def _layer(mount: Mount, programs: Sequence[str]) -> str | None:
    """The layer of an overlay that has the program, else the lowest one; None where it has none."""
    options = dict(option.partition("=")[::2] for option in mount.options)
    layers = [options["upperdir"]] if "upperdir" in options else []
    layers += [path.replace("\\:", ":") for path in _split(options.get("lowerdir", ""))]
    place = _normal(mount.destination)
    for program in programs:
        inner = _beneath(program, place)
        for layer in layers if inner else ():
            path = posixpath.join(layer, inner)
            if os.path.lexists(path):
                if not _is_whiteout(path):
                    return layer
                break
    return layers[-1] if layers else None


def _split(text: str) -> Iterator[str]:
    """The paths of a ``lowerdir``, between colons that have no backslash before them."""
    path = ""
    for part in text.split(":"):
        path += part
        if part.endswith("\\"):
            path += ":"
            continue
        if path:
            yield path
        path = ""


def _is_whiteout(path: str) -> bool:
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_bind(mount: Mount) -> bool:
    return mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options


def _beneath(path: str, place: str) -> str:
    """The part of a path beneath a place; empty where it isn't there."""
    path, start = _normal(path), place.rstrip("/") + "/"
    return path[len(start) :] if path.startswith(start) else ""


def _normal(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))
