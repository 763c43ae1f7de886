"""The handler for wasmer, with the installed back end: ``wasmer`` 1.1 on Python 3.10, ``wasmer-sdk`` on later versions."""

from __future__ import annotations

import sys

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers import wasi_host
from wasmoci.handlers.base import BaseHandler
from wasmoci.handlers.capabilities import Capability
from wasmoci.limits import NO_LIMITS
from wasmoci.wasm.memory_bound import InitialMemoryTooLarge

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.limits import Limits
    from wasmoci.wasm.module import Module

if sys.version_info < (3, 11):
    try:
        from wasmoci.handlers._wasmer.embedded import Embedded as BackEnd
    except ImportError as error:
        raise ImportError(
            "the packages wasmer and wasmer-compiler-cranelift aren't installed: pip install 'wasmoci[wasmer]'"
        ) from error
else:
    try:
        from wasmoci.handlers._wasmer.sandbox import Sandboxed as BackEnd
    except ImportError as error:
        raise ImportError("the package wasmer-sdk isn't installed: pip install 'wasmoci[wasmer]'") from error


class WasmerHandler(BaseHandler):
    """Runs core modules on wasmer."""

    name = "wasmer"
    packages = (BackEnd.package,)
    capabilities = frozenset(
        {
            Capability.WASI_PREVIEW1,
            Capability.LIVE_FILES,
            Capability.FILE_MOUNTS,
            Capability.READ_ONLY,
            Capability.MEMORY_LIMIT,
            Capability.DETERMINISM,
            Capability.SANDBOXED,
        }
    )
    features = BackEnd.features
    starts_processes = BackEnd.starts_processes

    def __init__(self) -> None:
        self._back_end = BackEnd()

    def provides(self, module: str, name: str) -> bool:
        """See :class:`BaseHandler`."""
        return wasi_host.provides(module, name)

    def validate(self, module: Module) -> None:
        """See :meth:`EngineHandler.validate`."""
        super().validate(module)
        wasi_host.check_signatures(module)
        wasi_host.check_memories(module)

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Precompiling.precompile`."""
        self.validate(module)
        try:
            return self._back_end.precompile(module, limits)
        except InitialMemoryTooLarge as error:
            raise UnsupportedModule(f"{module.source}: {error.message}") from None

    def kept(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Keeping.kept`."""
        return self._back_end.kept(module, limits)

    def preload(self) -> None:
        """See :meth:`wasmoci.handlers.contract.Preloading.preload`."""
        wasi_host.preload()
        self._back_end.preload()

    def run(self, workload: Workload) -> Outcome:
        """See :class:`BaseHandler`."""
        return self._back_end.run(workload)
