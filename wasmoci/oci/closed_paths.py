"""The places that a spec masks or makes read-only, ``linux.maskedPaths`` and ``linux.readonlyPaths``, as mounts of a guest's.

As runc does it: a masked file is empty, so is a masked directory; what is mounted beneath a read-only place keeps its own flag; what
isn't there does no harm.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidMount
from wasmoci.oci.guest_files import GuestMount
from wasmoci.wasi.errno import FAILURES
from wasmoci.wasi.open_tree import OpenTree
from wasmoci.wasi.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from wasmoci.oci.guest_files import GuestFiles


def close(files: GuestFiles, linux: Mapping[str, Any]) -> GuestFiles:
    """A guest's files, with such places closed.

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
