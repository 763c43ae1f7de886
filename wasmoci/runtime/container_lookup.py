"""Finds containers by id, of this runtime and of the native runtimes under the usual state directories."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import NativeRuntimeError
from wasmoci.native.runtimes import installed
from wasmoci.runtime import decisions, state_directories
from wasmoci.runtime.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOTS = (
    "/run/containerd/runc/k8s.io",
    "/run/containerd/runc/default",
    "/run/docker/runtime-runc/moby",
    "/run/user/{user}/runc",
    "/run/user/{user}/crun",
)
"""The state directories of container engines, in addition to the defaults of native runtimes."""

_BUNDLES = (
    "/var/lib/containers/storage/*-containers/*/userdata/config.json",
    "~/.local/share/containers/storage/*-containers/*/userdata/config.json",
    "/run/containerd/io.containerd.runtime.v2.task/*/*/config.json",
)
"""Where engines keep the bundles of their containers. Podman does so until a container is removed."""

_SHORTEST = 4  # characters of an engine's id that may stand for all of it
_HEXADECIMAL = frozenset("0123456789abcdef")
_PATIENCE = 10  # seconds for a native runtime to list its containers


@attrs.frozen(kw_only=True)
class Container:
    """An existing container.

    Args:
        identifier: Its whole id.
        bundle: Its bundle, a host path.
        status: ``created``, ``running``, ``paused`` or ``stopped``; ``creating`` where the command that made it was killed. Of one
            that no native runtime has: ``deleted``, ``refused``, ``handed on`` to the native runtime, or ``not there``.
        runtime: The native runtime that has it, or had it; empty where that isn't known.
        record: What was decided when it was created; empty where nothing is kept of that, as of most native containers.
    """

    identifier: str
    bundle: Path
    status: str
    runtime: str
    record: dict[str, Any]

    def __str__(self) -> str:
        """A sentence about it."""
        by = f", by {self.runtime}" if self.runtime else ""
        if not self.record:
            kind = "native" if self.runtime else "nothing is kept of what was decided"
            return f"container {self.identifier}: {self.status}, {kind}{by}"
        decision = self.record["classification"]
        engine = f" on {self.record['engine']}" if self.record["engine"] else ""
        kind = "native" if decision["kind"] == "native" else f"Wasm{engine}"
        why = f"{decision['reason']} (rule {decision['rule']})"
        return f"container {self.identifier}: {self.status}, {kind}{by}: {why}"


def find(identifier: str, root: str | None = None) -> Container | None:
    """Find a container; None when there is none.

    Args:
        identifier: Its id, or at least four characters of the beginning of an id that is a hexadecimal number.
        root: The native runtime's ``--root``, a host path; None for all that are usual.

    Raises:
        NativeRuntimeError: Several ids have this beginning.
    """
    if not state_directories.is_identifier(identifier):
        return None
    there = {container.identifier: container for container in _all(root)}
    gone = {container.identifier: container for container in (*_gone(), *_left())}
    if identifier in there or identifier in gone:
        return there.get(identifier) or gone[identifier]
    if len(identifier) < _SHORTEST or not set(identifier) <= _HEXADECIMAL:
        return None  # a name, which might be an image's
    # As long as there is one, the beginning is its, whatever was called alike before.
    for containers in (there, gone):
        found = {name: container for name, container in containers.items() if name.startswith(identifier)}
        if len(found) > 1:
            names = ", ".join(sorted(found))
            raise NativeRuntimeError(f"{identifier!r} is the beginning of {len(found)} containers' ids: {names}")
        if found:
            return next(iter(found.values()))
    return None


def _all(root: str | None) -> Iterator[Container]:
    roots = [None, *(_existing(_ROOTS))] if root is None else [root]
    has_records = state_directories.exist()
    for runtime in installed():
        for place in roots:
            options = [] if place is None else ["--root", place]
            for entry in _listed([str(runtime.path), *options, "list", "--format", "json"]):
                name = str(entry.get("id", ""))
                is_known = has_records and state_directories.is_identifier(name)
                record = Record(Path(state_directories.container(place, name))) if is_known else None
                yield Container(
                    identifier=name,
                    bundle=Path(str(entry.get("bundle", ""))),
                    status=str(entry.get("status", "unknown")),
                    runtime=runtime.name,
                    record=record.read() if record is not None else {},
                )


def _gone() -> Iterator[Container]:
    """Those of which there is nothing any more but what was decided."""
    for identifier, document in decisions.kept():
        yield Container(
            identifier=identifier,
            bundle=Path(document["bundle"]),
            status=document["status"],
            runtime=document["runtime"],
            record=document,
        )


def _left() -> Iterator[Container]:
    """Those that an engine keeps when no native runtime has them any more, or yet."""
    known = dict(decisions.kept())
    for pattern in _BUNDLES:
        place = Path(os.path.expanduser(pattern))  # noqa: PTH111  a pattern
        with contextlib.suppress(OSError):
            for config in Path("/").glob(str(place).lstrip("/")):
                identifier = config.parent.name if config.parent.name != "userdata" else config.parent.parent.name
                document = known.get(identifier, {})
                yield Container(
                    identifier=identifier,
                    bundle=config.parent,
                    status=document.get("status", "not there"),
                    runtime=document.get("runtime", ""),
                    record=document,
                )


def _existing(patterns: tuple[str, ...]) -> list[str]:
    paths = [pattern.format(user=os.getuid()) for pattern in patterns]
    return [path for path in paths if os.path.isdir(path)]  # noqa: PTH112


def _listed(command: list[str]) -> list[dict[str, Any]]:
    try:
        answer = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        ).stdout
        entries = json.loads(answer)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []
    return [entry for entry in entries or () if isinstance(entry, dict)]
