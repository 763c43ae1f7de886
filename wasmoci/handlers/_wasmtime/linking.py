"""Chooses the host functions that a core module is linked with.

wasmtime's own WASI opens any file any number of times, and reads a directory as a whole. So a guest that can open
anything gets the WASI host in Python, which limits the guest's descriptors (:mod:`wasmoci.wasi.descriptors`) and refuses the kernel's
file systems. wasmtime's own serves only standard streams, clocks and arguments.
"""

from __future__ import annotations

import enum
import weakref

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload
    from wasmoci.stdio import Streams
    from wasmoci.wasm.module import Module

_OLDER_WASI = "wasi_unstable"
_LACKING = frozenset({"fd_fdstat_set_rights", "fd_allocate"})  # of wasmtime's own WASI, which answers NOTSUP
_HOLDING = ("path_", "fd_readdir", "poll_oneoff", "sock_")  # by which a guest has the host hold something
_ABOUT_FILES = "fd_prestat_get"
_STDOUT, _STDERR = 1, 2

_always: weakref.WeakKeyDictionary[Module, bool] = weakref.WeakKeyDictionary()
"""Whether wasmtime's own WASI can't serve a module, whatever else it gets."""


class Host(enum.Enum):
    """The provider of the host functions of a core module."""

    OWN = "wasmtime's own WASI"
    TAKING = "the same, but what is written to the outputs is taken here"
    PYTHON = "the WASI host in Python"
    DETERMINISTIC = "the WASI host in Python, time and random bytes as well"


def host_for(workload: Workload) -> Host:
    """Choose a workload's WASI: wasmtime's own if that can serve it."""
    if workload.determinism is not None:
        return Host.DETERMINISTIC
    if _needs_host(workload):
        return Host.PYTHON
    return Host.OWN if _inherits(workload.streams) else Host.TAKING


def _needs_host(workload: Workload) -> bool:
    """Return whether wasmtime's own WASI can't serve a workload.

    That is the older interface, a function that it lacks, or one that takes what the host has, and a tree that isn't one
    directory.
    """
    module, files = workload.module, workload.files
    always = _always.get(module)
    if always is None:
        always = _always[module] = any(
            item.module == _OLDER_WASI or item.name in _LACKING or item.name.startswith(_HOLDING)
            for item in module.imports
        )
    one_directory = files.cwd == "/" and not files.mounts
    return always or (not one_directory and any(item.name == _ABOUT_FILES for item in module.imports))


def _inherits(streams: Streams) -> bool:
    """Return whether both outputs are this process's own, to which wasmtime writes directly."""
    return streams.stdout.descriptor == _STDOUT and streams.stderr.descriptor == _STDERR
