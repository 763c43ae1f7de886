"""What a command that was killed has left of a Wasm container, removed.

Mounts are none of it: they went with the killed command's mount namespace.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from wasmoci.runtime import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from wasmoci.runtime.calls import Native
    from wasmoci.runtime.record import Record


def end(record: Record, native: Native) -> None:
    """Kill whatever is still making a container, and remove the half that it has made.

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
    _sweep(record, record.read())
    record.remove()


def _kill_makers(document: dict[str, Any]) -> None:
    """Kill native runtimes that are still at the making of a container whose own command is gone.

    Args:
        document: The container's.
    """
    command = document.get("command")
    if not command:
        return
    own = os.getpid()
    for process, found in _command_lines():
        if found == command and process != own:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _command_lines() -> Iterable[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                text = os.fsdecode((entry / "cmdline").read_bytes())
                yield int(entry.name), text.split("\0")[:-1]


def _sweep(record: Record, document: dict[str, Any]) -> None:
    for directory in cgroups.directories(document.get("cgroup"), record.identifier):
        cgroups.remove(directory)
