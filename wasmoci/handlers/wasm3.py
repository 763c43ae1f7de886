"""The handler for wasm3, an interpreter that starts in microseconds, on ``pywasm3`` with :mod:`wasmoci.wasi`.

The interpreter is loaded for a run, and for a module that nobody has run before.
"""

from __future__ import annotations

from pathlib import Path

from wasmoci import compiled
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers import wasi_host
from wasmoci.handlers._wasm3.location import extension_file
from wasmoci.handlers._wasm3.stack import on_large_stack
from wasmoci.handlers.base import BaseHandler, Outcome
from wasmoci.handlers.capabilities import Capability
from wasmoci.limits import NO_LIMITS
from wasmoci.wasm.memory_bound import InitialMemoryTooLarge
from wasmoci.wasm.module import Feature

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload
    from wasmoci.limits import Limits
    from wasmoci.wasi import Wasi
    from wasmoci.wasm.module import Module

_FILE = extension_file()
_MOST = 32768  # pages of memory that wasm3 can give a guest: 2 GiB


class Wasm3Handler(BaseHandler):
    """Runs core modules on wasm3.

    A guest can't be interrupted, so a time limit needs a worker process.
    """

    name = "wasm3"
    packages = ("pywasm3",)
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
    features = frozenset(
        {
            Feature.MUTABLE_GLOBALS,
            Feature.SIGN_EXTENSION,
            Feature.SATURATING_FLOAT_TO_INT,
            Feature.BULK_MEMORY_OPT,
            Feature.CALL_INDIRECT_OVERLONG,  # written again, see wasmoci.wasm.rewrite
        }
    )

    def __init__(self) -> None:
        self._valid = wasi_host.new_cache()
        self._prepared = wasi_host.new_cache()

    def provides(self, module: str, name: str) -> bool:
        """See :class:`BaseHandler`."""
        return wasi_host.provides(module, name)

    def validate(self, module: Module) -> None:
        """See :meth:`EngineHandler.validate`.

        wasm3 compiles a function when it is first called. All are compiled here, once for each module, so that none turns
        out to be impossible in the middle of a run.
        """
        self._valid.get(module.digest, 0, lambda: self._validate(module))

    def preload(self) -> None:
        """See :meth:`wasmoci.handlers.contract.Preloading.preload`."""
        from wasmoci.handlers._wasm3 import guest, preparation  # noqa: F401, PLC0415  the engine

        wasi_host.preload()
        wasi_host.rewriter("pywasm3", _FILE)

    def recall(self, module: Module, limits: Limits) -> None:
        """See :meth:`BaseHandler.recall`."""
        pages = wasi_host.max_pages(limits)
        self._prepare(module, _MOST if pages is None else min(pages, _MOST))
        self.validate(module)

    def run(self, workload: Workload) -> Outcome:
        """See :class:`BaseHandler`."""
        try:
            from wasmoci.handlers._wasm3.guest import Guest  # noqa: PLC0415  the engine
        except ImportError as error:
            raise wasi_host.unloadable(self.name, error) from error

        limits = workload.limits
        try:
            data = self._prepare(workload.module, _pages(limits))
        except InitialMemoryTooLarge as error:
            return Outcome.out_of_memory(limits.memory, detail=error.message)

        def run(wasi: Wasi) -> Outcome:
            guest = Guest(workload, data, wasi)
            return on_large_stack(guest.run, guest.abandon)

        return wasi_host.with_wasi(workload, run)

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Precompiling.precompile`; the cache entry is the module prepared for wasm3."""
        self.validate(module)
        file = self.kept(module, limits)
        if file is None:
            try:
                _fetch(module, _pages(limits))
            except InitialMemoryTooLarge as error:
                raise UnsupportedModule(f"{module.source}: {error.message}") from None
            file = self.kept(module, limits)
        return file

    def kept(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Keeping.kept`."""
        return compiled.locate(_key(module, _pages(limits)))

    def _validate(self, module: Module) -> None:
        if compiled.known([_key(module, _MOST)]):
            return
        super().validate(module)
        wasi_host.check_signatures(module)
        self._prepare(module, _MOST)

    def _prepare(self, module: Module, pages: int) -> bytes:
        return self._prepared.get((module.digest, pages), len(module.data), lambda: _fetch(module, pages))


def _pages(limits: Limits) -> int:
    pages = wasi_host.max_pages(limits)
    return _MOST if pages is None else min(pages, _MOST)


def _key(module: Module, pages: int) -> compiled.Key:
    return compiled.Key(module.digest, "wasm3", wasi_host.rewriter("pywasm3", _FILE), wasi_host.memory_bound(pages))


def _fetch(module: Module, pages: int) -> bytes:
    """Return the module prepared for wasm3, with a memory limit; it was tested with the highest one."""

    def make() -> bytes:
        from wasmoci.handlers._wasm3.preparation import prepare  # noqa: PLC0415  6 ms: most modules are known

        return prepare(module, pages, tried=pages == _MOST)

    return compiled.fetch(_key(module, pages), make=make, dump=bytes, load=lambda path: Path(path).read_bytes())
