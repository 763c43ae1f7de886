"""Confines a worker process, irreversibly, before it reads anything of a guest or an image."""

from __future__ import annotations

import math
import os
import resource
from typing import TYPE_CHECKING, Any

from wasmoci.isolation import memory_limit
from wasmoci.wasi.open_tree import keep_empty_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.isolation.jail.root import Place

_STREAMS = (0, 1, 2)


def enter(request: Mapping[str, Any], descriptors: set[int]) -> tuple[Place, ...]:
    """Confine this process as its request says, irreversibly.

    Args:
        request: See :mod:`wasmoci.isolation.messages`. ``jailed`` is for an engine that is no sandbox by itself, ``bounds`` for
            what preparing a module may use.
        descriptors: What stays open in the jail, beside the process's streams.

    Returns:
        The places of the guest's in the jail; none outside of it, where they have the paths that the request gives them.

    Raises:
        JailUnavailable: The jail can't be had.
    """
    bounds = request.get("bounds")
    if bounds is not None:
        _bound(bounds["time"], bounds["memory"], bounds["processors"])
    return _jail(request, descriptors) if request.get("jailed") else ()


def _jail(request: Mapping[str, Any], descriptors: set[int]) -> tuple[Place, ...]:
    from wasmoci.isolation.jail.entering import enter  # noqa: PLC0415  25 ms (attrs, tempfile): most workers need no jail
    from wasmoci.isolation.jail.root import Place  # noqa: PLC0415  the same

    places = [Place(path, read_only, tuple(hidden)) for path, read_only, hidden in request["places"]]
    jailed = enter(places, {*_STREAMS, *descriptors})
    keep_empty_directory(jailed.empty)
    return jailed.places


def rehearse(request: Mapping[str, Any], handler: EngineHandler) -> None:
    """Load what can't be loaded in the jail, if this process is going to enter it."""
    if request.get("jailed"):
        from wasmoci.isolation.jail.preloading import rehearse  # noqa: PLC0415  25 ms: most workers need no jail

        rehearse(handler)


def _bound(time: float | None, most: int | None, processors: float | None) -> None:
    """Set the limits that the kernel can enforce on a process; its parent enforces the others."""
    _lower(resource.RLIMIT_CORE, 0)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processors is not None:
        threads = min(threads, max(1, math.ceil(processors)))
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # of wasmtime's and wasmer's compilers
    if time is not None:
        # This process ends even if its parent is stopped.
        _lower(resource.RLIMIT_CPU, math.ceil(time * threads) + 1)
    if most is not None:
        memory_limit.bound(most, overhead=0)
        _lower(resource.RLIMIT_FSIZE, most)  # files in memory are no data of the process's


def _lower(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(kind, (most, most))
