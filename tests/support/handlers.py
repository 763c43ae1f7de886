"""Engine handlers and a registry for tests that don't depend on an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.dispatch.registry import EngineStatus, Registry
from wasmoci.errors import EngineError, EngineUnavailable, InvalidModule, UnknownEngine, UnsupportedModule
from wasmoci.handlers.capabilities import Capability
from wasmoci.limits import Limits
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.oci.spec import Spec
    from wasmoci.wasm.module import Module

INHERIT = Stdio.inherit()
NO_LIMITS = Limits()
FULL = frozenset(Capability) - {Capability.TEXT, Capability.WASI_02}


class Recorder:
    """A handler that records its arguments, and runs nothing.

    Args:
        name: Its name.
        capabilities: The capabilities that it claims.
        refusal: The message with which it refuses any module, if any.
    """

    def __init__(
        self, name: str, capabilities: Iterable[Capability] = FULL, *, refusal: Exception | str | None = None
    ) -> None:
        self.name = name
        self.capabilities = frozenset(capabilities)
        self._refusal = UnsupportedModule(f"{name} {refusal}") if isinstance(refusal, str) else refusal
        self.runs: list[tuple[Spec, Path, Stdio, Limits]] = []

    def interrupts(self, module: Module, stdio: Stdio) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def validate(self, module: Module) -> None:  # noqa: ARG002
        """Refuse the module, if so configured."""
        if self._refusal is not None:
            raise self._refusal

    def execute(
        self, spec: Spec, rootfs: Path, *, stdio: Stdio = INHERIT, limits: Limits = NO_LIMITS
    ) -> ExecutionResult:
        """Record the arguments, and return 0."""
        self.runs.append((spec, rootfs, stdio, limits))
        return ExecutionResult(exit_code=0, reason=ExitReason.EXITED, engine=self.name)


class Wild(Recorder):
    """An engine without a sandbox; a worker process, which creates one without arguments, validates for it."""

    def __init__(self, name: str = "wild", refusal: Exception | None = None) -> None:
        super().__init__(name, FULL - {Capability.SANDBOXED}, refusal=refusal)


class Strict(Wild):
    """A handler that calls any module invalid."""

    def __init__(self) -> None:
        super().__init__("a", InvalidModule("truncated", source="/app.wasm", offset=3))


class Handlers(Registry):
    """A registry with given handlers.

    Args:
        handlers: The handlers.
        missing: The names of engines that are registered but not installed.
    """

    def __init__(self, *handlers: EngineHandler, missing: Iterable[str] = ()) -> None:
        super().__init__("wasmoci.tests.none")
        self._known: dict[str, EngineHandler | EngineError] = {handler.name: handler for handler in handlers}
        self._known |= {
            name: EngineUnavailable(f"the engine {name!r} can't be loaded: not installed", hint=f"install {name}")
            for name in missing
        }

    def names(self) -> tuple[str, ...]:
        """See :class:`Registry`."""
        return tuple(sorted(self._known))

    def load(self, name: str) -> EngineHandler:
        """See :class:`Registry`."""
        found = self._known.get(name)
        if found is None:
            raise UnknownEngine(f"no engine is called {name!r}; registered are: {', '.join(self.names())}")
        if isinstance(found, EngineError):
            raise found
        return found

    def status(self, name: str) -> EngineStatus:
        """See :class:`Registry`."""
        found = self._known[name]
        if isinstance(found, EngineError):
            return EngineStatus(name=name, distribution="", available=False, reason=found.message)
        return EngineStatus(name=name, distribution="", available=True, capabilities=found.capabilities)
