"""Determines the directories for the state of Wasm containers on the host.

A directory for each container, from before it is created until it is deleted: ``BASE/ROOT/ID``, where ROOT stands for the
native runtime's ``--root``, so that the same ids under other roots are other containers. Native containers have none.
"""

from __future__ import annotations

import os
import stat

from wasmoci.host import user_namespace

_SYSTEM = "/run/wasmoci"
_LONGEST = 200  # bytes of a directory's name
_DEFAULT = "default"


def base() -> str:
    """Return the directory of all containers: the system's, or the user's own."""
    if os.geteuid() == 0 and not user_namespace.inside():
        return _SYSTEM
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return os.path.join(runtime, "wasmoci")
    return _SYSTEM if os.access("/run", os.W_OK) else f"/tmp/wasmoci-{os.getuid()}"  # noqa: S108  checked when it is used


def exist() -> bool:
    """Return whether there may be any Wasm container.

    In a directory of another user's there is none: nothing of ours was ever kept there, and what is there isn't looked at.
    """
    try:
        status = os.lstat(base())
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def is_identifier(text: str) -> bool:
    """Whether a container can be called so; native runtimes have the same rule."""
    return text not in ("", ".", "..") and all(c.isascii() and (c.isalnum() or c in "_+-.") for c in text)


def container(root: str | None, identifier: str) -> str:
    """The directory of one.

    Args:
        root: The native runtime's ``--root``; None for its default.
        identifier: The container's id.
    """
    return os.path.join(base(), _name(root), identifier)


def tidy(directory: str) -> None:
    """Remove what is above a container's directory where it was the last, as also after a command that was killed.

    Args:
        directory: The container's, which is gone.
    """
    try:
        for _ in range(2):
            directory = os.path.dirname(directory)
            os.rmdir(directory)
    except OSError:
        pass  # there are others


def _name(root: str | None) -> str:
    if not root:
        return _DEFAULT
    name = os.path.abspath(root).replace("%", "%25").replace("/", "%2F")
    if len(os.fsencode(name)) <= _LONGEST:
        return name
    import hashlib

    return hashlib.sha256(os.fsencode(name)).hexdigest()
