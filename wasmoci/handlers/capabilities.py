"""Defines the capabilities of handlers, which workloads may need."""

from __future__ import annotations

import enum


class Capability(enum.Enum):
    """A capability of an engine handler. Wasm features are separate: :class:`wasmoci.wasm.module.Feature`."""

    __hash__ = (
        object.__hash__
    )  # that of an Enum is Python's own work, and engines are asked for capabilities at each run

    WASI_PREVIEW1 = "wasi-preview1"
    """Core modules that import ``wasi_snapshot_preview1``."""
    WASI_02 = "wasi-0.2"
    """Components that import interfaces of WASI 0.2."""
    TEXT = "text"
    """Modules in the text format."""
    LIVE_FILES = "live-files"
    """What the guest writes below its root and mounts is seen on the host, and the other way around."""
    FILE_MOUNTS = "file-mounts"
    """Bind mounts of a single file."""
    READ_ONLY = "read-only"
    """Roots and mounts that the guest may only read."""
    MEMORY_LIMIT = "memory-limit"
    """A memory limit that holds in the caller's process."""
    TIME_LIMIT = "time-limit"
    """A time limit that holds in the caller's process."""
    FUEL = "fuel"
    """A limit of instructions."""
    DETERMINISM = "determinism"
    """Time and random bytes in the place of the host's; see :mod:`wasmoci.determinism`."""
    SANDBOXED = "sandboxed"
    """The engine validates every module and is maintained: it may run in the caller's process."""
