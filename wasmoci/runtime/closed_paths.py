"""The places that a spec masks or makes read-only: ``linux.maskedPaths`` and ``linux.readonlyPaths``.

They are the guest's. The native runtime finds them beneath the guest's root, where the container's files are. Those in the file
systems of the kernel's hold for the engine's process, whose those are; a guest has none.
"""

from __future__ import annotations

import posixpath

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from wasmoci.runtime.mount_destinations import Destinations

MEMBERS = frozenset({"maskedPaths", "readonlyPaths"})

_KERNEL_PLACES = ("proc", "sys", "dev")
_NEEDED = ("/proc", "/proc/self", "/proc/thread-self", "/sys")
"""What the native runtime or an interpreter can't do without, as all of ``/dev``."""


def translated(linux: Mapping[str, Any], destinations: Destinations, rootfs: str, *, readonly: bool) -> dict[str, Any]:
    """Both members for the staged root; those that would be empty aren't there.

    Args:
        linux: ``linux`` of the caller's spec.
        destinations: Where paths lead among the container's files.
        rootfs: Where these are in the staged root.
        readonly: Whether the guest's root is read-only. It becomes so with the others, when mount points and the working
            directory are made.
    """
    masked = [*_translated(linux.get("maskedPaths"), destinations, rootfs, masked=True)]
    read_only = [*_translated(linux.get("readonlyPaths"), destinations, rootfs, masked=False)]
    if readonly:
        # In front: what lies beneath is bound along with it, and would otherwise cover it.
        read_only.insert(0, rootfs)
    members = {"maskedPaths": masked, "readonlyPaths": read_only}
    return {name: paths for name, paths in members.items() if paths}


def _translated(paths: object, destinations: Destinations, rootfs: str, *, masked: bool) -> Iterator[str]:
    for path in paths if isinstance(paths, list) else ():
        if not isinstance(path, str):
            continue  # which the native runtimes refuse in a native container, and nobody means
        place = destinations.resolve(path)
        if _is_kernels(place):
            if not (masked and _is_needed(place)):
                yield place
        else:
            yield posixpath.join(rootfs, place.lstrip("/")) if place != "/" else rootfs


def _is_kernels(place: str) -> bool:
    return place.split("/")[1] in _KERNEL_PLACES


def _is_needed(place: str) -> bool:
    if place in _NEEDED or place == "/dev" or place.startswith("/dev/"):
        return True
    names = place.split("/")
    return names[1] == "proc" and (names[2] in ("self", "thread-self") or names[2].isdigit())
