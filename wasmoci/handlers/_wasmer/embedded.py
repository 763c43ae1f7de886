"""The back end for the package ``wasmer`` 1.1, which runs guests in this process with :mod:`wasmoci.wasi`.

The package has wheels for CPython up to 3.10; for later versions pip installs one that raises ImportError.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from wasmoci import compiled
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers import wasi_host
from wasmoci.handlers._guest_thread import on_stack
from wasmoci.handlers.base import Outcome
from wasmoci.wasm.memory_bound import InitialMemoryTooLarge
from wasmoci.wasm.module import WEBASSEMBLY_2

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload
    from wasmoci.limits import Limits
    from wasmoci.wasi import Wasi
    from wasmoci.wasm.module import Module


def _file(package: str) -> str:
    """The host path of a package, which isn't imported."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    file = Path(str(spec.origin))
    if not any(file.parent.glob("*.so")):
        raise ImportError(f"the package {package} has no engine for this machine", name=package, path=str(file))
    return str(file)


_FILES = _file("wasmer"), _file("wasmer_compiler_cranelift")

# A guest that overflows its stack traps, even inside a host function; the frames of Python that are thereby left for ever
# are those of a thread that ends.
_STACK = 16 << 20  # bytes
_SMALLEST_STACK = 1 << 20

FEATURES = WEBASSEMBLY_2


class Embedded:
    """Runs core modules on wasmer 1.1. A guest holds the GIL and can't be interrupted."""

    package = "wasmer"
    features = FEATURES
    starts_processes = False

    def __init__(self) -> None:
        self._compiled = wasi_host.new_cache()

    def run(self, workload: Workload) -> Outcome:
        """See :meth:`wasmoci.handlers.base.BaseHandler.run`."""
        try:
            from wasmoci.handlers._wasmer import embedded_run  # noqa: PLC0415  the engine
        except ImportError as error:
            raise wasi_host.unloadable("wasmer", error) from error

        try:
            artifact = self._compile(workload.module, wasi_host.max_pages(workload.limits))
        except InitialMemoryTooLarge as error:
            return Outcome.out_of_memory(workload.limits.memory, detail=error.message)

        def run(wasi: Wasi) -> Outcome:
            return on_stack(
                lambda _: embedded_run.run(workload, artifact, wasi),
                _STACK,
                _SMALLEST_STACK,
                abandon=_nothing_to_abandon,
            )

        return wasi_host.with_wasi(workload, run)

    def precompile(self, module: Module, limits: Limits) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Precompiling.precompile`."""
        file = self.kept(module, limits)
        if file is None:
            self._fetch(module, wasi_host.max_pages(limits))
            file = self.kept(module, limits)
        return file

    def kept(self, module: Module, limits: Limits) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Keeping.kept`."""
        return compiled.locate(_key(module, wasi_host.max_pages(limits)))

    def preload(self) -> None:
        """See :meth:`wasmoci.handlers.contract.Preloading.preload`."""
        from wasmoci.handlers._wasmer import embedded_run  # noqa: F401, PLC0415  the engine

        _version()

    def _compile(self, module: Module, pages: int | None) -> bytes:
        return self._compiled.get((module.digest, pages), len(module.data), lambda: self._fetch(module, pages))

    def _fetch(self, module: Module, pages: int | None) -> bytes:
        from wasmoci.handlers._wasmer.embedded_run import compile_module, load  # noqa: PLC0415  the engine

        return compiled.fetch(_key(module, pages), make=lambda: compile_module(module, pages), dump=bytes, load=load)


def _key(module: Module, pages: int | None) -> compiled.Key:
    return compiled.Key(module.digest, "wasmer", _version(), wasi_host.memory_bound(pages))


def _version() -> str:
    return wasi_host.rewriter("wasmer-compiler-cranelift", _FILES[1])


def _nothing_to_abandon() -> None:
    # The guest holds the GIL: whoever waits for it is not interrupted while it runs.
    pass
