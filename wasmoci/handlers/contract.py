"""Defines the contract of an engine handler, and its optional extensions.

A run imports none of this: protocols take milliseconds to make and to check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from wasmoci.limits import NO_LIMITS
from wasmoci.stdio import INHERIT

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.handlers.capabilities import Capability
    from wasmoci.limits import Limits
    from wasmoci.oci.spec import Spec
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Stdio
    from wasmoci.wasm.module import Module


@runtime_checkable
class EngineHandler(Protocol):
    """What the registry and the dispatcher ask of an engine.

    Attributes:
        name: The name under which it is registered.
        capabilities: What it can do here, with the engine that is installed.
    """

    name: str
    capabilities: frozenset[Capability]

    def validate(self, module: Module) -> None:
        """Check that the engine can run a module, before anything of the guest runs.

        Raises:
            UnsupportedModule: It lacks a feature, or nobody provides an import; the message names it.
            InvalidModule: The module is damaged.
        """

    def execute(
        self, spec: Spec, rootfs: Path, *, stdio: Stdio = INHERIT, limits: Limits = NO_LIMITS
    ) -> ExecutionResult:
        """Run a container's guest to its end.

        Never exits the process, never changes its working directory, environment or streams, and leaves no descriptor,
        thread or temporary file behind. Safe to call from several threads at once.

        Args:
            spec: The container's spec.
            rootfs: Its root file system, a host path.
            stdio: Where its streams come from and go to.
            limits: What it may use. A memory limit of the spec holds where the caller gives none.

        Raises:
            WasmociError: The guest could not be started.
        """


@runtime_checkable
class Preloading(Protocol):
    """An optional power: less to do for each worker process that is forked."""

    def preload(self) -> None:
        """Load what every run needs, and start no thread: a process is forked from this one for each run."""


@runtime_checkable
class Interruptible(Protocol):
    """An optional power: a time limit that holds without a process to kill."""

    def interrupts(self, module: Module, stdio: Stdio) -> bool:
        """Whether this module, with these streams, can always be stopped in-process: it can't block in the host."""


@runtime_checkable
class Bounding(Protocol):
    """An optional power: to say for which modules the engine doesn't bound what a guest has it hold.

    That are descriptors, listings, and whatever else a guest can make and keep without memory of its own. Where it isn't bounded, a
    process of the guest's own is, unless the caller wants it inline. A handler without this method bounds it for every module.
    """

    def bounds(self, module: Module, limits: Limits) -> bool:
        """Whether it is bounded for this module in the process that it runs in; memory is to be where there is a limit of it."""


@runtime_checkable
class Precompiling(Protocol):
    """An optional power: what the engine makes of a module is kept in the compile cache, see :mod:`wasmoci.compiled`."""

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """Compile a module for runs with certain limits, unless that was done before.

        Args:
            module: The module.
            limits: Limits of the kinds that the runs are to have.

        Returns:
            The file of it in the compile cache, a host path, to be given to :func:`wasmoci.compiled.provide` in another process;
            None where there is no such file: no cache can be used, or the engine has one of its own.

        Raises:
            UnsupportedModule: The engine can't run it.
            InvalidModule: It is damaged.
        """


@runtime_checkable
class Keeping(Protocol):
    """An optional power beside :class:`Precompiling`: what it keeps may be no file for another process."""

    def kept(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """The entry of a module in the compile cache, a host path, be it for another process or not; None where there is none."""
