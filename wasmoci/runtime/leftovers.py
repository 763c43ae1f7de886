"""Removes what a killed command has left of a Wasm container.

There are no mounts to remove: they disappeared with the killed command's mount namespace.
"""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.runtime import cgroups, decisions, started_processes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from wasmoci.runtime.native_calls import Native
    from wasmoci.runtime.record import Record


def end(record: Record, native: Native) -> None:
    """Kill processes that are still creating a container, and remove the incomplete container.

    Args:
        record: The container's, locked. The command that wrote it is gone.
        native: The native runtime.
    """
    document = record.read()
    _kill_makers(document)
    if not native.knows(record.identifier):
        native.call("delete", "--force", record.identifier, quiet=True)  # its directory, which holds no container yet
        _sweep(record, document)


def discard(record: Record) -> None:
    """Remove a record, and what is left of its container.

    Args:
        record: The container's, locked; the native runtime has it no more.
    """
    document = record.read()
    _sweep(record, document)
    record.remove()
    if document:
        decisions.keep(record.identifier, document)


def _kill_makers(document: dict[str, Any]) -> None:
    """Kill native runtimes that are still creating a container whose command has been killed.

    Args:
        document: The container's.
    """
    mark = document.get("mark")
    if not mark:
        return
    for process in _processes():
        started_processes.kill(process, lambda found: found.command == document["command"] and found.has(mark))


def _processes() -> Iterable[int]:
    own = os.getpid()
    return (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own)  # noqa: PTH208


def _sweep(record: Record, document: dict[str, Any]) -> None:
    for directory in cgroups.directories(document.get("cgroup"), record.identifier):
        cgroups.remove(directory, document.get("mark"))
