"""Resolves the working directory of an image's program, and refuses one in the kernel's file systems.

A native runtime that leaks a descriptor has it in ``/proc/self/fd``, and a container that starts there is on the host
(CVE-2024-21626). So an image's ``WorkingDir`` must not lead to procfs or its like, not even through the image's links.
"""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from wasmoci.errors import InvalidImage
from wasmoci.image.layers.rootfs import MAX_LINKS

if TYPE_CHECKING:
    from wasmoci.image.layers.rootfs import Rootfs

_KERNEL = ("dev", "proc", "sys")


def working_directory(rootfs: Rootfs, text: str) -> str:
    """Return ``process.cwd`` for an image's ``WorkingDir``.

    Args:
        rootfs: The image's root file system.
        text: The image's ``WorkingDir``; empty for the root.

    Raises:
        InvalidImage: It leads to one of the kernel's file systems, or through too many links.
    """
    path = posixpath.join("/", text)
    leads_to = _resolve(rootfs, path)
    if leads_to[:1] and leads_to[0] in _KERNEL:
        found = f"/{'/'.join(leads_to)}"
        raise InvalidImage(f"WorkingDir is {text!r}, which leads to {found!r}; expected a directory of the image's own")
    return path


def _resolve(rootfs: Rootfs, path: str) -> list[str]:
    """Return the components of a path with the image's links resolved beneath its root; missing ones stay unchanged."""
    resolved: list[str] = []
    pending = path.split("/")[::-1]
    links = 0
    while pending:
        name = pending.pop()
        if name == "..":
            del resolved[-1:]
        elif name not in ("", "."):
            target = _link(rootfs, resolved, name)
            if target is None:
                resolved.append(name)
                continue
            links += 1
            if links > MAX_LINKS:
                raise InvalidImage(f"WorkingDir is {path!r}, which goes through more than {MAX_LINKS} symbolic links")
            if target.startswith("/"):
                resolved.clear()
            pending.extend(target.split("/")[::-1])
    return resolved


def _link(rootfs: Rootfs, directory: list[str], name: str) -> str | None:
    """Return the target of a symbolic link; None for anything else."""
    try:
        fd = rootfs.reopen(directory)
    except (OSError, ValueError):
        return None
    try:
        return os.readlink(name, dir_fd=fd)
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)
