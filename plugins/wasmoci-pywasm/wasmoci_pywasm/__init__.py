"""The handler for pywasm, an interpreter in pure Python, about a hundred times slower than other engines."""

from __future__ import annotations

import importlib
import io
import sys
from typing import TYPE_CHECKING, Any

from wasmoci.errors import UnsupportedModule
from wasmoci.handlers import wasi_host
from wasmoci.handlers.base import BaseHandler, Outcome
from wasmoci.handlers.capabilities import Capability
from wasmoci.wasm.module import WEBASSEMBLY_2
from wasmoci.wasm.rewrite import InitialMemoryTooLarge, limit_memory
from wasmoci_pywasm.guest import Guest

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload
    from wasmoci.wasm.module import Module

pywasm: Any = importlib.import_module("pywasm")  # without types

if sys.flags.optimize:
    # Its bounds checks are assertions.
    raise ImportError("pywasm checks bounds by assertions, which python -O removes")


class PywasmHandler(BaseHandler):
    """Runs core modules on pywasm. A time limit needs a worker process."""

    name = "pywasm"
    packages = ("pywasm",)
    capabilities = frozenset(
        {
            Capability.WASI_PREVIEW1,
            Capability.LIVE_FILES,
            Capability.FILE_MOUNTS,
            Capability.READ_ONLY,
            Capability.MEMORY_LIMIT,
            Capability.DETERMINISM,
        }
    )
    features = WEBASSEMBLY_2

    def provides(self, module: str, name: str) -> bool:
        """See :class:`BaseHandler`."""
        return wasi_host.provides(module, name)

    def validate(self, module: Module) -> None:
        """See :meth:`wasmoci.handlers.base.EngineHandler.validate`."""
        super().validate(module)
        wasi_host.check_signatures(module)

    def run(self, workload: Workload) -> Outcome:
        """See :class:`BaseHandler`."""
        pages = wasi_host.max_pages(workload.limits)
        module = workload.module
        try:
            data = module.data if pages is None else limit_memory(module.data, pages, source=module.source)
        except InitialMemoryTooLarge as error:
            return Outcome.out_of_memory(workload.limits.memory, detail=error.message)
        description = _parse(module, data)
        return wasi_host.with_wasi(workload, lambda wasi: Guest(workload, description, wasi).run())


def _parse(module: Module, data: bytes) -> Any:
    try:
        return pywasm.ModuleDesc.from_reader(io.BytesIO(data))
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise UnsupportedModule(f"{module.source}: pywasm can't read it: {type(error).__name__}: {error}") from error
