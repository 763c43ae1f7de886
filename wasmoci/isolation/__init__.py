"""Where a guest runs: in the caller's process, or in a worker process of its own.

In a worker process any limit can be held by killing it, and an engine that crashes costs one run and not the caller.
"""

from __future__ import annotations

import enum

from wasmoci.capabilities import Capability
from wasmoci.errors import UnsupportedWorkload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from wasmoci.handlers.base import EngineHandler
    from wasmoci.isolation.servers import OnlyForked, Servers
    from wasmoci.limits import Limits
    from wasmoci.module import Module
    from wasmoci.result import ExecutionResult
    from wasmoci.running import Running
    from wasmoci.spec import Spec
    from wasmoci.stdio import Stdio


class Isolation(enum.Enum):
    """Where a guest runs."""

    INLINE = "inline"
    """In the caller's process, on the calling thread."""
    PROCESS = "process"
    """In a worker process that lives for one run."""


def unmet_inline(handler: EngineHandler, module: Module, stdio: Stdio, limits: Limits) -> str:
    """The limit that an engine can't hold in the caller's process, as words; empty when it holds all of them."""
    if limits.time is not None and not _interrupts(handler, module, stdio):
        return "a time limit"
    if limits.memory is not None and Capability.MEMORY_LIMIT not in handler.capabilities:
        return "a memory limit"
    return ""


def choose(
    handler: EngineHandler, module: Module, stdio: Stdio, limits: Limits, wanted: Isolation | None = None
) -> Isolation:
    """Where a workload is to run: as wanted, or else in the caller's process where its limits hold there, and what it holds is bounded.

    Args:
        handler: The engine.
        module: The module it is to run.
        stdio: The streams it is to have.
        limits: The limits that have to hold, the spec's included.
        wanted: What the caller asks for.

    Raises:
        UnsupportedWorkload: The caller wants the process itself, and a limit can't be held in it; or the engine can't hold a
            limit anywhere.
    """
    if limits.fuel is not None and Capability.FUEL not in handler.capabilities:
        raise UnsupportedWorkload(f"{handler.name} can't count instructions, so it can't hold a limit of fuel")
    unmet = unmet_inline(handler, module, stdio, limits)
    if wanted is None:
        return Isolation.PROCESS if unmet or not _bounds(handler, module, limits) else Isolation.INLINE
    if wanted is Isolation.INLINE and unmet:
        raise UnsupportedWorkload(
            f"{handler.name} can't hold {unmet} for this workload in the caller's process",
            hint="leave the isolation open, or choose the isolation 'process'",
        )
    return wanted


def execute(
    handler: EngineHandler,
    spec: Spec,
    rootfs: Path,
    *,
    stdio: Stdio,
    limits: Limits,
    isolation: Isolation,
    servers: Servers | OnlyForked | None = None,
) -> ExecutionResult:
    """Run a guest where it was decided to run.

    Args:
        handler: The engine.
        spec: The container's spec.
        rootfs: Its root file system, a host path.
        stdio: Its streams.
        limits: What it may use.
        isolation: Where; see :func:`choose`.
        servers: Where a worker process comes from; None for those that all share.

    Raises:
        EngineCrashed: The worker process died under the guest.
        WasmociError: The guest could not be started.
    """
    if isolation is Isolation.INLINE:
        return handler.execute(spec, rootfs, stdio=stdio, limits=limits)
    with launch(handler, spec, rootfs, stdio=stdio, limits=limits, servers=servers) as running:
        return running.wait()


def launch(
    handler: EngineHandler,
    spec: Spec,
    rootfs: Path,
    *,
    stdio: Stdio,
    limits: Limits,
    servers: Servers | OnlyForked | None = None,
) -> AbstractContextManager[Running]:
    """Start a guest in a worker process, which is gone at the end of the context; the arguments are those of :func:`execute`."""
    from wasmoci.isolation import process  # noqa: PLC0415  most runs don't need it
    from wasmoci.isolation import servers as everybodys  # noqa: PLC0415

    return process.launch(handler, spec, rootfs, stdio=stdio, limits=limits, servers=servers or everybodys.DEFAULT)


def _interrupts(handler: EngineHandler, module: Module, stdio: Stdio) -> bool:
    interrupts = getattr(handler, "interrupts", None)  # of Interruptible
    return bool(interrupts and Capability.TIME_LIMIT in handler.capabilities and interrupts(module, stdio))


def _bounds(handler: EngineHandler, module: Module, limits: Limits) -> bool:
    bounds = getattr(handler, "bounds", None)  # of Bounding
    return bounds is None or bounds(module, limits)
