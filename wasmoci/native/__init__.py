"""Finds and calls the native OCI runtimes crun, runc and youki.

The names below are loaded when they are first used, because a Wasm run needs none of them.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.native.checks import check_mounts as check_mounts
    from wasmoci.native.checks import check_seccomp as check_seccomp
    from wasmoci.native.programs import RUNTIMES as RUNTIMES
    from wasmoci.native.runtimes import NativeRuntime as NativeRuntime
    from wasmoci.native.runtimes import find as find
    from wasmoci.native.runtimes import installed as installed
    from wasmoci.native.runtimes import launch as launch
    from wasmoci.native.runtimes import run as run

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "checks": ("check_mounts", "check_seccomp"),
        "programs": ("RUNTIMES",),
        "runtimes": ("NativeRuntime", "find", "installed", "launch", "run"),
    },
)
