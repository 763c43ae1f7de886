"""Resolves the destinations of mounts in a container's root file system, following symbolic links.

The native runtime resolves a destination in the staged root. The container's own root is beneath that, so an absolute link in it has
to be resolved here.
"""

from __future__ import annotations

import os
import posixpath

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidMount

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

_MOST_LINKS = 40  # as the kernel


class Destinations:
    """Resolves the destinations of mounts in order, each after the ones before it.

    Args:
        rootfs: The root file system, a host path.
    """

    def __init__(self, rootfs: Path) -> None:
        self._sources: dict[str, str | None] = {"/": str(rootfs)}

    def add(self, mount: Mapping[str, Any]) -> str:
        """Return the absolute guest path of a mount without symbolic links; missing components stay unchanged.

        Args:
            mount: A mount, as in ``config.json``.

        Raises:
            InvalidMount: Its destination is the root, or a loop of links.
        """
        place = self.resolve(mount["destination"])
        if place == "/":
            raise InvalidMount(f"$.mounts: {mount['destination']!r} is the root itself, which $.root gives")
        options = mount.get("options") or ()
        is_bind = mount.get("type") == "bind" or "bind" in options or "rbind" in options
        self._sources[place] = mount.get("source") if is_bind else None
        return place

    def resolve(self, destination: str) -> str:
        """The absolute guest path that a path leads to, without symbolic links.

        Args:
            destination: The path.

        Raises:
            InvalidMount: It is a loop of links.
        """
        place, links = "/", 0
        remaining = destination.split("/")[::-1]
        while remaining:
            name = remaining.pop()
            if name in ("", "."):
                continue
            if name == "..":
                place = posixpath.dirname(place)
                continue
            inner = posixpath.join(place, name)
            target = self._link(inner)
            if target is None:
                place = inner
                continue
            links += 1
            if links > _MOST_LINKS:
                raise InvalidMount(f"$.mounts: {destination!r} leads through too many symbolic links")
            if target.startswith("/"):
                place = "/"
            remaining.extend(target.split("/")[::-1])
        return place

    def _link(self, place: str) -> str | None:
        """Return the target of a guest path if it is a symbolic link; its parents have been resolved."""
        if place in self._sources:
            return None
        above = place
        while above not in self._sources:
            above = posixpath.dirname(above)
        source = self._sources[above]
        if source is None:
            return None
        try:
            return os.readlink(posixpath.join(source, place[len(above) :].lstrip("/")))
        except OSError:
            return None
