"""The back end for ``wasmer-sdk``, in whose sandboxes a guest calls :mod:`wasmoci.wasi` through a pipe.

The SDK runs a guest on a WASI of its own, with files in memory, and offers no way to give it host functions. So the module
is rewritten (:mod:`.tunnel`): all that it still asks of the SDK is to read from one pipe and to write to another. The SDK has
a process of its own for each run (:mod:`.sdk_main` says why).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from wasmoci import compiled
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers import wasi_host
from wasmoci.handlers.base import Outcome
from wasmoci.wasm.memory_bound import InitialMemoryTooLarge
from wasmoci.wasm.module import WEBASSEMBLY_2, Feature

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload
    from wasmoci.limits import Limits
    from wasmoci.wasm.module import Module

_found = importlib.util.find_spec("wasmer_sdk")
if _found is None:
    raise ImportError("there is no module wasmer_sdk")
_SDK = str(_found.origin)
_START = "_start"

FEATURES = WEBASSEMBLY_2 | {
    Feature.RELAXED_SIMD,
    Feature.EXTENDED_CONST,
    Feature.EXCEPTIONS,
    Feature.WIDE_ARITHMETIC,
    Feature.THREADS,  # atomic instructions, on a memory that isn't shared
}


class Sandboxed:
    """Runs core modules in the sandboxes of the SDK."""

    package = "wasmer-sdk"
    features = FEATURES
    starts_processes = True

    def __init__(self) -> None:
        self._rewritten = wasi_host.new_cache()

    def run(self, workload: Workload) -> Outcome:
        """See :meth:`wasmoci.handlers.base.BaseHandler.run`."""
        from wasmoci.handlers._wasmer.sandbox_run import run_in_sandbox  # noqa: PLC0415  14 ms (subprocess): it starts processes

        try:
            data = self._rewrite(workload)
        except InitialMemoryTooLarge as error:
            return Outcome.out_of_memory(workload.limits.memory, detail=error.message)

        return wasi_host.with_wasi(workload, lambda wasi: run_in_sandbox(workload, data, wasi))

    def precompile(self, module: Module, limits: Limits) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Precompiling.precompile`.

        The SDK keeps compiled code by itself; kept here is the module as a command is written again for it. That is no file for
        another process, which needs the SDK's cache all the same.
        """
        if module.export(_START) is not None:
            _fetch(module, wasi_host.max_pages(limits), (_START,))
        return None

    def kept(self, module: Module, limits: Limits) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Keeping.kept`."""
        return compiled.locate(_key(module, wasi_host.max_pages(limits), (_START,)))

    def preload(self) -> None:
        """See :meth:`wasmoci.handlers.contract.Preloading.preload`."""
        from wasmoci.handlers._wasmer import sandbox_run  # noqa: F401, PLC0415  see above

    def _rewrite(self, workload: Workload) -> bytes:
        module, pages = workload.module, wasi_host.max_pages(workload.limits)
        calls = wasi_host.functions_to_call(workload)
        return self._rewritten.get(
            (module.digest, pages, calls), len(module.data), lambda: _fetch(module, pages, calls)
        )


def _fetch(module: Module, pages: int | None, calls: tuple[str, ...]) -> bytes:
    def make() -> bytes:
        from wasmoci.handlers._wasmer.tunnel import limit_and_tunnel  # noqa: PLC0415  7 ms: most modules are known

        return limit_and_tunnel(module.data, pages, calls, source=module.source)

    return compiled.fetch(_key(module, pages, calls), make=make, dump=bytes, load=lambda path: Path(path).read_bytes())


def _key(module: Module, pages: int | None, calls: tuple[str, ...]) -> compiled.Key:
    version = wasi_host.rewriter("wasmer-sdk", _SDK)
    configuration = ", ".join(filter(None, (wasi_host.memory_bound(pages), *calls)))
    return compiled.Key(module.digest, "wasmer", version, configuration)
