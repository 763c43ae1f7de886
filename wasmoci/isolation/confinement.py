"""What a worker process gives up before it touches anything of a guest's or an image's: entered once, never left."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import sys
from typing import TYPE_CHECKING, Any

from wasmoci.isolation import memory

if TYPE_CHECKING:
    from collections.abc import Mapping

_PR_SET_NO_NEW_PRIVS = 38


def enter(request: Mapping[str, Any]) -> None:
    """Confine this process as its request says, for good.

    Args:
        request: See :mod:`wasmoci.isolation.messages`. ``jailed`` is for an engine that is no sandbox by itself, ``bounds`` for
            what preparing a module may use.
    """
    bounds = request.get("bounds")
    if bounds is not None:
        _bound(bounds["time"], bounds["memory"], bounds["processors"])
    if request.get("jailed"):
        _jail()


def _jail() -> None:
    """Give up every right that the engine doesn't need."""
    os.environ.clear()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _bound(time: float | None, most: int | None, processors: float | None) -> None:
    """Have the kernel hold the bounds that it can hold for a process; who has started it sees to the others."""
    _lower(resource.RLIMIT_CORE, 0)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processors is not None:
        threads = min(threads, max(1, math.ceil(processors)))
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # of wasmtime's and wasmer's compilers
    if time is not None:
        # Should whoever waits be stopped, this process ends all the same.
        _lower(resource.RLIMIT_CPU, math.ceil(time * threads) + 1)
    if most is not None:
        memory.bound(most, overhead=0)
        _lower(resource.RLIMIT_FSIZE, most)  # files in memory are no data of the process's


def _lower(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(kind, (most, most))
