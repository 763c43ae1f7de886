"""The handler for wasm3, an interpreter that starts in microseconds: ``pywasm3`` with :mod:`wasmoci.wasi`."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path

from wasmoci import compiled
from wasmoci.binary.bound import InitialMemoryTooLarge
from wasmoci.capabilities import Capability
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers import _host
from wasmoci.handlers._thread import on_stack
from wasmoci.handlers._wasm3.guest import Guest
from wasmoci.handlers._wasm3.library import FILE, RawCall, Runtime, Wasm3Error
from wasmoci.handlers.base import NO_LIMITS, BaseHandler, Outcome
from wasmoci.module import Feature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from wasmoci.handlers.base import Workload
    from wasmoci.limits import Limits
    from wasmoci.module import Module
    from wasmoci.wasi import Wasi

    Result = TypeVar("Result")

_MOST = 32768  # pages of memory that wasm3 can give a guest: 2 GiB

# wasm3 takes 160 bytes of the native stack for each call of the guest, and 48 for each loop that the caller is in, but
# counts its own stack only, of which a call takes 8 bytes at least. With this ratio a guest that is in 38 loops at each
# level of its recursion still meets the end of the counted stack first, and traps.
_RATIO = 256
_NATIVE_STACK = 1 << 30  # bytes
_SMALLEST_STACK = 16 << 20


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
            Feature.MULTI_VALUE,
            Feature.BULK_MEMORY_OPT,
            Feature.CALL_INDIRECT_OVERLONG,  # written again, see wasmoci.binary.rewrite
        }
    )

    def __init__(self) -> None:
        self._valid = _host.new_cache()
        self._prepared = _host.new_cache()

    def provides(self, module: str, name: str) -> bool:
        """See :class:`BaseHandler`."""
        return _host.provides(module, name)

    def validate(self, module: Module) -> None:
        """See :meth:`EngineHandler.validate`.

        wasm3 compiles a function when it is first called. All are compiled here, once for each module, so that none turns
        out to be impossible in the middle of a run.
        """
        self._valid.get(module.digest, 0, lambda: self._validate(module))

    def preload(self) -> None:
        """See :meth:`wasmoci.handlers.base.Preloading.preload`."""
        _host.preload()
        importlib.import_module("wasmoci.binary.rewrite")
        importlib.import_module("wasmoci.handlers._wasm3.encoding")

    def recall(self, module: Module, limits: Limits) -> None:
        """See :meth:`BaseHandler.recall`."""
        pages = _host.max_pages(limits)
        self._prepare(module, _MOST if pages is None else min(pages, _MOST))
        self.validate(module)

    def run(self, workload: Workload) -> Outcome:
        """See :class:`BaseHandler`."""
        limits = workload.limits
        try:
            data = self._prepare(workload.module, _pages(limits))
        except InitialMemoryTooLarge as error:
            return Outcome.out_of_memory(limits.memory, detail=error.message)

        def run(wasi: Wasi) -> Outcome:
            guest = Guest(workload, data, wasi)
            return _on_large_stack(guest.run, guest.abandon)

        return _host.with_wasi(workload, run)

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """See :meth:`wasmoci.handlers.base.Precompiling.precompile`; what is kept is the module as wasm3 can read it."""
        self.validate(module)
        pages = _pages(limits)
        try:
            _fetch(module, pages)
        except InitialMemoryTooLarge as error:
            raise UnsupportedModule(f"{module.source}: {error.message}") from None
        return compiled.locate(_key(module, pages))

    def _validate(self, module: Module) -> None:
        if compiled.known([_key(module, _MOST)]):
            return
        super().validate(module)
        _host.check_signatures(module)
        self._prepare(module, _MOST)

    def _prepare(self, module: Module, pages: int) -> bytes:
        return self._prepared.get((module.digest, pages), len(module.data), lambda: _fetch(module, pages))


def _pages(limits: Limits) -> int:
    pages = _host.max_pages(limits)
    return _MOST if pages is None else min(pages, _MOST)


def _key(module: Module, pages: int) -> compiled.Key:
    return compiled.Key(module.digest, "wasm3", _host.rewriter("pywasm3", FILE), f"{pages} pages")


def _fetch(module: Module, pages: int) -> bytes:
    """The module as wasm3 can read it, with a limit on its memory; with the highest one it has been tried."""

    def make() -> bytes:
        from wasmoci.binary.rewrite import rewrite  # noqa: PLC0415  what was made is kept
        from wasmoci.handlers._wasm3.encoding import mark_exports  # noqa: PLC0415

        data = rewrite(module.data, shorten=True, max_pages=pages, source=module.source)
        data = mark_exports(data, source=module.source)
        if pages == _MOST:
            _on_large_stack(lambda stack: _compile(module, data, stack), lambda: None)
        return data

    return compiled.fetch(_key(module, pages), make=make, dump=bytes, load=lambda path: Path(path).read_bytes())


def _on_large_stack(function: Callable[[int], Result], abandon: Callable[[], None]) -> Result:
    """Call a function with the bytes of wasm3's stack that its thread's native stack is large enough for."""
    return on_stack(lambda size: function(size // _RATIO), _NATIVE_STACK, _SMALLEST_STACK, abandon=abandon)


def _compile(module: Module, data: bytes, stack: int) -> None:
    from wasmoci.handlers._wasm3.encoding import without_memory  # noqa: PLC0415

    try:
        Runtime(data, stack=stack).close()
        with contextlib.closing(Runtime(without_memory(data, source=module.source), stack=stack)) as runtime:
            runtime.load()
            for item in _host.imported_functions(module):
                runtime.link(item.module, item.name, _UNUSED, 0)
            runtime.compile()
    except Wasm3Error as error:
        raise UnsupportedModule(f"{module.source}: wasm3 can't run it: {error.message}") from None


_UNUSED = RawCall(lambda *_: None)
