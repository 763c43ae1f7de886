"""Runs guests in the caller's process, in a worker process or in the jail, and chooses between these.

Any limit can be enforced by killing a worker process, and an engine that crashes there fails one run without affecting the caller.
"""

from __future__ import annotations

import enum

from wasmoci import compiled
from wasmoci._startup import attrs, lazy
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import JailUnavailable, UnsupportedWorkload
from wasmoci.handlers import caller_signals, run_context
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation.compile_bounds import DEFAULT as DEFAULT_BOUNDS
from wasmoci.isolation.jail import WAY_OUT
from wasmoci.limits import stoppable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.isolation.async_supervisor import supervise as supervise
    from wasmoci.isolation.child_process import ChildProcess
    from wasmoci.isolation.compile_bounds import Bounds
    from wasmoci.isolation.guest_files import SharedFiles as SharedFiles
    from wasmoci.isolation.running_guest import RunningGuest as RunningGuest
    from wasmoci.isolation.supervisor import Launched as Launched
    from wasmoci.isolation.warm_servers import DEFAULT as DEFAULT
    from wasmoci.isolation.warm_servers import OnlyForked as OnlyForked
    from wasmoci.isolation.warm_servers import Servers as Servers
    from wasmoci.limits import Limits
    from wasmoci.oci.spec import Spec
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Stdio
    from wasmoci.wasm.module import Module

__getattr__, __dir__, _ = lazy.attach(
    __name__,
    {
        "async_supervisor": ("supervise",),
        "guest_files": ("SharedFiles",),
        "running_guest": ("RunningGuest",),
        "supervisor": ("Launched",),
        "warm_servers": ("DEFAULT", "OnlyForked", "Servers"),
    },
)

_SMALL = 32 << 10
"""Bytes of a module that an engine which is no sandbox compiles for each run, in the jail, rather than once in another one."""


class Isolation(enum.Enum):
    """The process that a guest runs in."""

    INLINE = "inline"
    """In the caller's process, on the calling thread."""
    PROCESS = "process"
    """In a worker process that lives for one run, with the caller's rights."""
    JAIL = "jail"
    """In a worker process that has no rights but what its guest is given; where an engine runs that is no sandbox by itself."""


def unmet_inline(handler: EngineHandler, module: Module, stdio: Stdio, limits: Limits) -> str:
    """Name the limit that an engine can't enforce in the caller's process; empty when it can enforce all of them."""
    if limits.time is not None and not _interrupts(handler, module, stdio):
        return "a time limit"
    if limits.memory is not None and Capability.MEMORY_LIMIT not in handler.capabilities:
        return "a memory limit"
    return ""


def choose(
    handler: EngineHandler,
    module: Module,
    stdio: Stdio,
    limits: Limits,
    wanted: Isolation | None = None,
    *,
    apart: bool = False,
) -> Isolation:
    """Choose where a workload runs: as requested, or else in the caller's process if its limits can be enforced there.

    An engine that is no sandbox by itself runs in the jail, unless something else is wanted.

    Args:
        handler: The engine.
        module: The module it is to run.
        stdio: The streams it is to have.
        limits: The limits that have to hold, the spec's included.
        wanted: What the caller asks for.
        apart: Whether it has to run in a process of its own, whatever it is.

    Raises:
        UnsupportedWorkload: The caller wants the process itself, and a limit can't be held in it; or the engine can't hold a
            limit anywhere.
        JailUnavailable: There is no jail on this machine.
    """
    if limits.fuel is not None and Capability.FUEL not in handler.capabilities:
        raise UnsupportedWorkload(f"{handler.name} can't count instructions, so it can't hold a limit of fuel")
    is_trusted = Capability.SANDBOXED in handler.capabilities
    if wanted is Isolation.JAIL or (wanted is None and not is_trusted):
        _check_jail(handler, is_trusted=is_trusted)
        return Isolation.JAIL
    if wanted is Isolation.PROCESS or (wanted is None and apart):
        return Isolation.PROCESS
    unmet = unmet_inline(handler, module, stdio, limits)
    if wanted is None:
        return Isolation.PROCESS if unmet or not _bounds(handler, module, limits) else Isolation.INLINE
    if apart:
        raise UnsupportedWorkload(
            "the guest has to run in a process of its own, and was asked for in the caller's",
            hint="leave the isolation open, or choose 'process' or 'jail'",
        )
    if unmet:
        raise UnsupportedWorkload(
            f"{handler.name} can't hold {unmet} for this workload in the caller's process",
            hint="leave the isolation open, or choose the isolation 'process'",
        )
    return wanted


def _check_jail(handler: EngineHandler, *, is_trusted: bool) -> None:
    if getattr(handler, "starts_processes", False):
        raise UnsupportedWorkload(
            f"{handler.name} runs guests in processes that it starts, which can't be done in the jail", hint=WAY_OUT
        )
    from wasmoci.isolation.jail.support import support  # noqa: PLC0415  23 ms (attrs): most engines need no jail

    problem = support().problem
    if problem:
        reason = "" if is_trusted else f"{handler.name} is no sandbox by itself, and "
        raise JailUnavailable(
            f"{reason}there is no jail on this machine: {problem}",
            hint="choose another engine, or the isolation 'process', in which the guest is trusted with this user's rights",
        )


def compiled_for(handler: EngineHandler, module: Module, place: Isolation, limits: Limits) -> Limits | None:
    """Return the limits for which a module has to be compiled before its run; None if the process that runs it compiles.

    Args:
        handler: The engine.
        module: The module.
        place: Where the module is to run.
        limits: What it may use.
    """
    if place is Isolation.INLINE:
        # As the run asks for it, whose guest is to be stoppable by a signal of its caller's.
        return stoppable(limits) if limits.time is None and caller_signals.reach() else limits
    if not compiled.is_on():
        return None
    if Capability.SANDBOXED not in handler.capabilities and (place is not Isolation.JAIL or module.size <= _SMALL):
        return None
    return attrs.evolve(limits, time=None)  # which the worker's caller sees to


def execute(
    handler: EngineHandler,
    spec: Spec,
    rootfs: Path,
    *,
    stdio: Stdio,
    limits: Limits,
    isolation: Isolation,
    servers: Servers | OnlyForked | None = None,
    module: Module | None = None,
    preparing: Bounds = DEFAULT_BOUNDS,
) -> ExecutionResult:
    """Run a guest with the chosen isolation.

    Args:
        handler: The engine.
        spec: The container's spec.
        rootfs: Its root file system, a host path.
        stdio: Its streams.
        limits: What it may use.
        isolation: Where; see :func:`choose`.
        servers: Where a worker process comes from; None for those that all share.
        module: Its module, for what the compile cache has of it, of which a process in the jail sees nothing else.
        preparing: What validating and compiling the module in a worker process may use.

    Raises:
        EngineCrashed: The worker process died under the guest.
        JailUnavailable: It was to run in the jail, which can't be had.
        WasmociError: The guest could not be started.
    """
    if isolation is Isolation.INLINE:
        token = run_context.compile_limits.set((preparing.time, preparing.memory))
        inline = run_context.inline.set(True)
        try:
            return handler.execute(spec, rootfs, stdio=stdio, limits=limits)
        finally:
            run_context.inline.reset(inline)
            run_context.compile_limits.reset(token)
    with launch(
        handler,
        spec,
        rootfs,
        stdio=stdio,
        limits=limits,
        isolation=isolation,
        servers=servers,
        module=module,
        preparing=preparing,
    ) as running:
        return running.wait()


def launch(
    handler: EngineHandler,
    spec: Spec,
    rootfs: Path,
    *,
    stdio: Stdio,
    limits: Limits,
    isolation: Isolation,
    servers: Servers | OnlyForked | None = None,
    module: Module | None = None,
    preparing: Bounds = DEFAULT_BOUNDS,
) -> AbstractContextManager[ChildProcess]:
    """Start a guest in a worker process, which is ended at the end of the context; the arguments are those of :func:`execute`."""
    from wasmoci.isolation import warm_servers as everybodys  # noqa: PLC0415  28 ms with the next (attrs, subprocess)
    from wasmoci.isolation import worker_process  # noqa: PLC0415  most runs start no process

    jailed = isolation is Isolation.JAIL
    kept = getattr(handler, "kept", None) if jailed and module is not None else None  # of Keeping
    file = None if kept is None else kept(module, attrs.evolve(limits, time=None))
    return worker_process.launch(
        handler,
        spec,
        rootfs,
        stdio=stdio,
        limits=limits,
        servers=servers or everybodys.DEFAULT,
        jailed=jailed,
        prepared=None if file is None or module is None else worker_process.Prepared(module.digest, file),
        preparing=preparing,
    )


def _interrupts(handler: EngineHandler, module: Module, stdio: Stdio) -> bool:
    interrupts = getattr(handler, "interrupts", None)  # of Interruptible
    return bool(interrupts and Capability.TIME_LIMIT in handler.capabilities and interrupts(module, stdio))


def _bounds(handler: EngineHandler, module: Module, limits: Limits) -> bool:
    bounds = getattr(handler, "bounds", None)  # of Bounding
    return bounds is None or bounds(module, limits)
