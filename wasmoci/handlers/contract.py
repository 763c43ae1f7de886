"""Defines the contract of an engine handler, and its optional extensions.

A run doesn't import this module, because creating and checking protocols takes milliseconds.
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
    """The interface that the registry and the dispatcher require of an engine.

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
    """An optional extension: reduces the work of each forked worker process."""

    def preload(self) -> None:
        """Load what every run needs, without starting threads, as a process is forked from this one for each run."""


@runtime_checkable
class Interruptible(Protocol):
    """An optional extension: enforces a time limit without killing a process."""

    def interrupts(self, module: Module, stdio: Stdio) -> bool:
        """Return whether this module, with these streams, can always be stopped in-process: it can't block in the host."""


@runtime_checkable
class Bounding(Protocol):
    """An optional extension: tells for which modules the engine doesn't limit the resources that a guest makes it use.

    That are descriptors, listings, and whatever else a guest can make and keep without memory of its own. Where it isn't bounded, a
    process of the guest's own is, unless the caller wants it inline. A handler without this method bounds it for every module.
    """

    def bounds(self, module: Module, limits: Limits) -> bool:
        """Return whether the resources for this module are limited in its process; memory counts if there is a memory limit."""


@runtime_checkable
class Precompiling(Protocol):
    """An optional extension: stores compiled modules in the compile cache, see :mod:`wasmoci.compiled`."""

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """Compile a module for runs with certain limits, unless it is in the cache.

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
    """An optional extension of :class:`Precompiling`, for an engine whose cache entries can't be used by another process."""

    def kept(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """Return a module's entry in the compile cache, a host path; None where there is none."""
