"""Checks, before a native runtime is called, that it mounts nothing on the host and can filter system calls."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

from wasmoci.errors import NativeRefused
from wasmoci.oci.spec import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.oci.bundle import Bundle

_PRIVATE = (None, "", "private", "rprivate", "slave", "rslave", "unbindable", "runbindable")
"""The values of rootfsPropagation that keep a container's mounts from the host."""

_ANSWER_LIMIT = 10  # seconds that a runtime may take to list its features


def check_mounts(bundle: Bundle) -> None:
    """Check that the native runtime's mounts for a container stay in a namespace of the container's own.

    Raises:
        NativeRefused: The spec has no mount namespace, joins an existing one, or propagates mounts to the host; or a
            native runtime might read another name in it as one of those that are checked here.
    """
    file = bundle.path / CONFIG
    place = f"{file}: $.linux"
    linux = _plain(bundle.spec.raw, ("linux",), f"{file}: $").get("linux")
    linux = _plain(linux, ("namespaces", "rootfsPropagation"), place)
    found = linux.get("namespaces")
    namespaces = [
        _plain(item, ("type", "path"), f"{place}.namespaces[{index}]")
        for index, item in enumerate(found if isinstance(found, list) else ())
    ]
    mounts = [item for item in namespaces if item.get("type") == "mount"]
    if not mounts:
        count = len(bundle.spec.mounts)
        raise NativeRefused(
            f"{place}.namespaces: has no mount namespace; the native runtime would mount the root and {count} more on the host itself",
            hint='add {"type": "mount"} to it',
        )
    for item in mounts:
        if item.get("path"):
            raise NativeRefused(
                f"{place}.namespaces: the mount namespace is {item['path']!r}, in which the native runtime would mount for "
                "whoever else is there; a new one was expected",
                hint="leave out its path",
            )
    propagation = linux.get("rootfsPropagation")
    if propagation not in _PRIVATE:
        raise NativeRefused(
            f"{place}.rootfsPropagation: found {propagation!r}, with which the container's mounts are the host's as well; "
            f"{', '.join(filter(None, _PRIVATE))} or nothing was expected"
        )


def _plain(value: Any, names: tuple[str, ...], place: str) -> dict[str, Any]:
    """Return an object of a spec, empty for anything else; refuse names that a runtime may read as a checked one.

    runc (JSON in Go) ignores the case of names, including Unicode case folding; crun (in C) ends a name at a NUL byte.
    """
    found: dict[str, Any] = value if isinstance(value, dict) else {}
    for key in found:
        meant = next((name for name in names if key.partition("\0")[0].casefold() == name.casefold()), key)
        if meant != key:
            raise NativeRefused(
                f"{place}: has {key!r}, which one native runtime reads as {meant!r} and another one doesn't",
                hint=f"write {meant!r}, once",
            )
    return found


def check_seccomp(bundle: Bundle, name: str, program: Path) -> None:
    """Check that a native runtime supports seccomp before it runs an image's program: one without ignores the profile.

    Args:
        bundle: The bundle; one that wasn't made from an image is run as its spec says.
        name: The name of the runtime.
        program: Its program, a host path.

    Raises:
        NativeRefused: The runtime doesn't report seccomp support.
    """
    if bundle.image is not None and not _filters(program):
        raise NativeRefused(
            f"{bundle.image.reference}: the native runtime {name} ({program}) doesn't say that it was built with seccomp, without "
            "which no native program of an image is run",
            hint="install crun or runc of your distribution",
        )


def _filters(program: Path) -> bool:
    # The runtime specification's own query comes first (features.md); crun before 1.9 doesn't know it.
    try:
        seccomp: Any = json.loads(_ask(program, "features"))["linux"]["seccomp"]["enabled"]
    except (ValueError, LookupError, TypeError):
        return re.search(r"^libseccomp:|\+SECCOMP\b", _ask(program, "--version"), re.MULTILINE) is not None
    return seccomp is True


def _ask(program: Path, word: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  a runtime that is to run a container as well
            [str(program), word],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
