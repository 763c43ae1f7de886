"""Who is root in a container's user namespace, outside of it: the owner of what the native runtime makes mount points in."""

from __future__ import annotations

import ctypes
import os

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_NEWUSER = 0x1000_0000  # CLONE_NEWUSER
_MOST = 1 << 16  # bytes of a map that are read
_KINDS = ("uid", "gid")


def owner(linux: Mapping[str, Any]) -> tuple[int, int] | None:
    """The user and the group that are root there; None where the container has no user namespace, or nobody is root.

    Args:
        linux: ``linux`` of a spec.

    Raises:
        OSError: It is to join a namespace, and that can't be entered.
    """
    namespace = next((entry for entry in linux.get("namespaces") or () if entry.get("type") == "user"), None)
    if namespace is None:
        return None
    maps = {kind: _given(linux.get(f"{kind}Mappings") or ()) for kind in _KINDS}
    if not all(maps.values()) and namespace.get("path"):
        maps = _of_namespace(namespace["path"])
    roots = [_root(maps[kind]) for kind in _KINDS]
    return None if roots[0] is None or roots[1] is None else (roots[0], roots[1])


def _given(mappings: Iterable[Mapping[str, Any]]) -> list[tuple[int, int, int]]:
    return [(entry.get("containerID", 0), entry.get("hostID", 0), entry.get("size", 0)) for entry in mappings]


def _root(lines: list[tuple[int, int, int]]) -> int | None:
    # A map begins with root as a rule, and has it once.
    return next((outside for inside, outside, count in lines if inside == 0 and count > 0), None)


def _of_namespace(path: str) -> dict[str, list[tuple[int, int, int]]]:
    """The maps of a namespace, which a process in it can read alone."""
    namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if ctypes.CDLL(None).setns(namespace, _NEWUSER) == 0:
                for kind in _KINDS:
                    os.write(tell, _read(f"/proc/self/{kind}_map") + b"\0")
        finally:
            os._exit(0)
    os.close(tell)
    os.close(namespace)
    with os.fdopen(told, "rb") as stream:
        texts = stream.read(_MOST).split(b"\0")
    os.waitpid(child, 0)
    if len(texts) <= len(_KINDS):
        raise OSError(0, "the user namespace can't be entered", path)
    return {kind: [_line(line) for line in text.splitlines()] for kind, text in zip(_KINDS, texts, strict=False)}


def _line(text: bytes) -> tuple[int, int, int]:
    inside, outside, count = map(int, text.split())
    return inside, outside, count


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, _MOST)
    finally:
        os.close(descriptor)
