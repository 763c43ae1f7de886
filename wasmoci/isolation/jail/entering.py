"""Puts this process into the jail."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import JailUnavailable
from wasmoci.isolation.jail import WAY_OUT, allowed_syscalls, landlock, process, root, seccomp
from wasmoci.isolation.jail.support import support

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wasmoci.isolation.jail.root import Place

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@attrs.frozen
class Jailed:
    """The state of a process in the jail.

    Args:
        places: The guest's root and mounts, under the paths that they have in the jail.
        empty: The descriptor of a directory in which nothing can be made.
        is_apart: Whether the process has a root of its own, in which there is nothing else.
    """

    places: tuple[Place, ...]
    empty: int
    is_apart: bool


_anterooms: list[root.Anteroom] = []  # at most one, for a process is in one place


def prepare(meanwhile: Callable[[str], None] = lambda _: None) -> None:
    """Do the part that doesn't depend on the guest's files. :func:`enter` does the rest.

    Args:
        meanwhile: Called with the path of an empty directory that no other process sees, where there is nothing else.

    Raises:
        OSError: It can't be done ahead. The process may have given up a part, and is good for nothing else.
    """
    _anterooms.append(root.prepare(meanwhile))


def enter(places: Sequence[Place], descriptors: set[int]) -> Jailed:
    """Enter the jail: give up everything but some files and descriptors, irreversibly.

    All that the process needs of the host's files has to be loaded: nothing can be imported any more.

    Args:
        places: The guest's root, and what is mounted into it.
        descriptors: What stays open.

    Raises:
        JailUnavailable: It can't be had. The process may have given up a part, and is good for nothing else.
    """
    problem = support().problem
    if problem:
        raise JailUnavailable(f"there is no jail on this machine: {problem}")
    if not process.has_one_thread():
        # Landlock binds the thread that asks for it, and those that it starts.
        raise JailUnavailable(
            "the engine keeps threads of its own once it is loaded, which no jail could be put around", hint=WAY_OUT
        )
    try:
        process.forget_environment()
        process.keep_only(descriptors.union(*(anteroom.descriptors for anteroom in _anterooms)))
        process.limit_resources()
        jailed = _move(places) or _stay(places)
        process.replace_directories(descriptors, jailed.empty)
        process.drop_capabilities()
        process.hide()
        seccomp.forbid_new_privileges()
        landlock.restrict([*((place.path, place.read_only) for place in jailed.places), (jailed.empty, True)])
        seccomp.restrict(allowed_syscalls.policy(sees_only_its_own=jailed.is_apart))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise JailUnavailable(f"the jail can't be had: {place}{error.strerror}") from error
    return jailed


def _move(places: Sequence[Place]) -> Jailed | None:
    """Move to a private root; return None where that isn't possible, and only Landlock denies access to other files."""
    try:
        moved = root.move(places, _anterooms.pop() if _anterooms else None)
    except root.NoNamespace:
        if not landlock.holds_read_only() and any(place.read_only for place in places):
            raise
        return None
    return Jailed(moved, os.open(f"/{root.EMPTY}", _DIRECTORY), is_apart=True)


def _stay(places: Sequence[Place]) -> Jailed:
    os.chdir("/")
    path = tempfile.mkdtemp(prefix="wasmoci-")
    try:
        return Jailed(tuple(places), os.open(path, _DIRECTORY), is_apart=False)
    finally:
        os.rmdir(path)
