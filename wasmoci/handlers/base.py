"""Provides the base class of engine handlers.

:class:`~wasmoci.handlers.contract.EngineHandler` is the whole contract. :class:`BaseHandler` keeps it for an engine that can call a module's function
with a :class:`Workload`: a subclass gives ``name``, ``capabilities``, ``features``, :meth:`~BaseHandler.provides` and
:meth:`~BaseHandler.run`.
"""

from __future__ import annotations

import contextlib
import importlib
from abc import ABC, abstractmethod

from wasmoci import determinism
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedModule, UnsupportedWorkload
from wasmoci.handlers import run_context
from wasmoci.handlers.capabilities import Capability
from wasmoci.handlers.run_context import Clock
from wasmoci.limits import NO_LIMITS, Limits
from wasmoci.oci import working_directory
from wasmoci.oci.entrypoint import Entrypoint
from wasmoci.oci.filesystem import GuestFiles, plan
from wasmoci.oci.program import in_hand
from wasmoci.result import EXIT_OUT_OF_MEMORY, EXIT_TIMED_OUT, EXIT_TRAPPED, ExecutionResult, ExitReason
from wasmoci.stdio import INHERIT, Stdio, Streams
from wasmoci.wasm.module import Feature, Module, ModuleKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, ClassVar

    from wasmoci.determinism import Determinism
    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.oci.spec import Spec


def from_reference(reference: str) -> EngineHandler:
    """Create a handler from the reference of its class, in another process.

    Args:
        reference: ``module:qualified.name``.

    Raises:
        ImportError: There is no such module, or its engine is missing.
        AttributeError: The module has no such class.
    """
    module, _, name = reference.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    handler: EngineHandler = found()
    return handler


@attrs.frozen(kw_only=True)
class Workload:
    """Everything that an engine needs for one run.

    Args:
        entrypoint: Program, arguments, environment.
        module: The module or component.
        files: What the guest sees of the host's files; every tmpfs has its directory.
        streams: Open streams.
        limits: What the guest may use, the spec's limit included.
        started: To be called right before the entry function: from there time counts.
        determinism: What the guest gets in the place of the host's time and random bytes, from an engine with
            ``Capability.DETERMINISM``; None for those of the host.
    """

    entrypoint: Entrypoint
    module: Module
    files: GuestFiles
    streams: Streams
    limits: Limits
    started: Callable[[], None]
    determinism: Determinism | None = None


@attrs.frozen(kw_only=True)
class Outcome:
    """How an engine's run ended.

    Args:
        reason: Why it ended.
        exit_code: The guest's own code; for other reasons than ``EXITED`` their fixed one.
        message: A sentence about it, from the engine.
        backtrace: The guest's frames, innermost first.
    """

    reason: ExitReason
    exit_code: int
    message: str = ""
    backtrace: tuple[str, ...] = ()

    @classmethod
    def exited(cls, code: int = 0, message: str = "") -> Outcome:
        """The guest returned, or asked to exit."""
        return cls(reason=ExitReason.EXITED, exit_code=code, message=message)

    @classmethod
    def trapped(cls, message: str, backtrace: tuple[str, ...] = ()) -> Outcome:
        """The guest trapped."""
        return cls(reason=ExitReason.TRAPPED, exit_code=EXIT_TRAPPED, message=message, backtrace=backtrace)

    @classmethod
    def timed_out(cls, limit: float | None) -> Outcome:
        """The guest exceeded its time limit, in seconds."""
        message = f"it ran past its time limit of {limit:g} s" if limit else "it ran past its time limit"
        return cls(reason=ExitReason.TIMED_OUT, exit_code=EXIT_TIMED_OUT, message=message)

    @classmethod
    def out_of_memory(cls, limit: int | None, backtrace: tuple[str, ...] = (), detail: str = "") -> Outcome:
        """The guest failed because its limit, in bytes, refused memory."""
        message = f"it was refused memory by its limit of {limit} bytes" if limit else "it ran out of memory"
        if detail:
            message += f": {detail}"
        return cls(reason=ExitReason.OUT_OF_MEMORY, exit_code=EXIT_OUT_OF_MEMORY, message=message, backtrace=backtrace)


class BaseHandler(ABC):
    """A handler for an engine that can run a :class:`Workload`.

    Attributes:
        name: See :class:`EngineHandler`.
        capabilities: See :class:`EngineHandler`.
        features: The Wasm features that the engine has.
        packages: The distributions that may bring the engine; the first that is installed does.
        starts_processes: Whether the engine runs guests in processes that it starts, which can't be done in the jail.
    """

    name: ClassVar[str]
    capabilities: frozenset[Capability]
    features: frozenset[Feature]
    packages: ClassVar[tuple[str, ...]] = ()
    starts_processes: bool = False

    @property
    def engine_version(self) -> str:
        """Return the engine's distribution and version; empty when unknown."""
        from importlib import metadata  # noqa: PLC0415  22 ms: no run needs it

        for package in self.packages:
            with contextlib.suppress(metadata.PackageNotFoundError):
                return f"{package} {metadata.version(package)}"
        return ""

    @abstractmethod
    def provides(self, module: str, name: str) -> bool:
        """Return whether the engine, or its WASI host, provides a core module with the function ``module.name``."""

    @abstractmethod
    def run(self, workload: Workload) -> Outcome:
        """Call the entry function, and return how it ended.

        Raises:
            WasmociError: It could not be started.
        """

    def assemble(self, module: Module) -> Module:
        """Assemble a module in the text format, by an engine with ``Capability.TEXT``; return any other unchanged."""
        return module

    def validate(self, module: Module) -> None:
        """See :meth:`EngineHandler.validate`."""
        module = self.assemble(module)
        needed = _KINDS.get(module.kind)
        if needed is not None and needed not in self.capabilities:
            raise UnsupportedModule(f"{module.source}: {self.name} can't run {_KIND_NAMES[module.kind]}")
        if module.kind is not ModuleKind.CORE:
            return
        unknown = [item for item in module.imports if not self.provides(item.module, item.name)]
        if unknown:
            names = ", ".join(f"{item.module}.{item.name}" for item in unknown[:_SHOWN])
            more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
            raise UnsupportedModule(
                f"{module.source}: imports {names}{more}, which {self.name} doesn't provide",
                hint="a guest gets WASI preview 1 and nothing else; was the module built for another world?",
            )
        self.check_features(module)

    def check_features(self, module: Module) -> None:
        """Refuse a core module that needs a feature that the engine lacks; an engine may tell faster than by reading it.

        Raises:
            UnsupportedModule: The message names the features.
            InvalidModule: The module is damaged.
        """
        if len(self.features) < len(Feature):
            missing = module.features - self.features
            if missing:
                names = ", ".join(sorted(feature.value for feature in missing))
                raise UnsupportedModule(f"{module.source}: needs {names}, which {self.name} doesn't have")

    def execute(
        self, spec: Spec, rootfs: Path, *, stdio: Stdio = INHERIT, limits: Limits = NO_LIMITS
    ) -> ExecutionResult:
        """See :meth:`EngineHandler.execute`."""
        if limits.memory is None and spec.memory_limit is not None:
            limits = attrs.evolve(limits, memory=spec.memory_limit)
        program = in_hand.get()
        if program is None or not program.is_of(spec, rootfs):
            program = None
        entrypoint = Entrypoint.of(spec) if program is None else program.entrypoint
        clock = Clock()
        with (plan(spec, rootfs) if program is None else program.files).materialise() as files:
            module = entrypoint.load(files) if program is None else program.module
            working_directory.make(files)
            prepare = run_context.loading()
            if prepare is not None:
                prepare(self, module, limits)
            module = self.assemble(module)
            self.check(module, entrypoint, files)
            with stdio.open() as streams:
                workload = Workload(
                    entrypoint=entrypoint,
                    module=module,
                    files=files,
                    streams=streams,
                    limits=limits,
                    started=clock.start,
                    determinism=determinism.current(),
                )
                outcome = self.run(workload)
                return ExecutionResult(
                    exit_code=outcome.exit_code,
                    reason=outcome.reason,
                    engine=self.name,
                    stdout=streams.stdout.captured,
                    stderr=streams.stderr.captured,
                    stdout_truncated=streams.stdout.truncated,
                    stderr_truncated=streams.stderr.truncated,
                    duration=clock.elapsed(),
                    message=outcome.message,
                    backtrace=outcome.backtrace,
                )

    def remember(self, spec: Spec, rootfs: Path, limits: Limits) -> None:
        """Keep a container's program in memory for processes that are forked from this one, without starting threads.

        Args:
            spec: The container's spec.
            rootfs: Its root file system, a host path.
            limits: What it may use, but for the time.

        Raises:
            WasmociError: It can't be read.
        """
        files = plan(spec, rootfs)
        files = attrs.evolve(files, mounts=tuple(mount for mount in files.mounts if mount.source is not None))
        self.recall(Entrypoint.of(spec).load(files), limits)

    def recall(self, module: Module, limits: Limits) -> None:  # noqa: ARG002  what there is to do, an engine knows
        """Load what a run of a module needs, as far as possible without compiling and without leaving threads behind."""
        _ = module.digest

    def check(self, module: Module, entrypoint: Entrypoint, files: GuestFiles) -> None:
        """Refuse what can't be run, before anything of the guest runs.

        Raises:
            UnsupportedModule: See :meth:`validate`.
            UnsupportedWorkload: A mount is a single file, and the engine has no such thing.
            EntrypointError: The module lacks the entry function, or it takes parameters.
        """
        self.validate(module)
        if files.has_file_mounts and Capability.FILE_MOUNTS not in self.capabilities:
            destinations = ", ".join(mount.destination for mount in files.mounts if mount.is_file)
            raise UnsupportedWorkload(f"{self.name} can't mount a single file, as asked for at {destinations}")
        entrypoint.check_function(module)


_SHOWN = 8  # names that a message lists
_KINDS = {
    ModuleKind.CORE: Capability.WASI_PREVIEW1,
    ModuleKind.COMPONENT: Capability.WASI_02,
    ModuleKind.TEXT: Capability.TEXT,
}
_KIND_NAMES = {
    ModuleKind.CORE: "core modules",
    ModuleKind.COMPONENT: "components",
    ModuleKind.TEXT: "the text format",
}
