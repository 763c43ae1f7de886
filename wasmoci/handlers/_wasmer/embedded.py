"""wasmer 1.1, embedded by its Python package, with :mod:`wasmoci.wasi` in the place of its own WASI.

The package has wheels for CPython up to 3.10; for later versions pip installs one that raises ImportError.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasmoci import compiled
from wasmoci.binary.bound import REFUSED_EXPORT, InitialMemoryTooLarge
from wasmoci.binary.start import START_EXPORT, export_start
from wasmoci.capabilities import Capability
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers import _host
from wasmoci.handlers._thread import on_stack
from wasmoci.handlers.base import Outcome
from wasmoci.module import Feature
from wasmoci.wasi import ProcExit

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload
    from wasmoci.limits import Limits
    from wasmoci.module import Module
    from wasmoci.wasi import Wasi

wasmer = importlib.import_module("wasmer")
_cranelift = importlib.import_module("wasmer_compiler_cranelift")
_compiler = _cranelift.Compiler

# A guest that overflows its stack traps, even inside a host function; the frames of Python that are thereby left for ever
# are those of a thread that ends.
_STACK = 16 << 20  # bytes
_SMALLEST_STACK = 1 << 20
_MAX_FRAMES = 64

CAPABILITIES = frozenset(
    {
        Capability.WASI_PREVIEW1,
        Capability.LIVE_FILES,
        Capability.FILE_MOUNTS,
        Capability.READ_ONLY,
        Capability.MEMORY_LIMIT,
        Capability.DETERMINISM,
    }
)
FEATURES = frozenset(
    {
        Feature.MUTABLE_GLOBALS,
        Feature.SIGN_EXTENSION,
        Feature.SATURATING_FLOAT_TO_INT,
        Feature.MULTI_VALUE,
        Feature.BULK_MEMORY_OPT,
        Feature.BULK_MEMORY,
        Feature.REFERENCE_TYPES,
        Feature.CALL_INDIRECT_OVERLONG,
        Feature.SIMD,
    }
)


class Embedded:
    """Runs core modules on wasmer 1.1. A guest holds the GIL and can't be interrupted."""

    package = "wasmer"
    capabilities = CAPABILITIES
    features = FEATURES

    def __init__(self) -> None:
        self._compiled = _host.new_cache()

    def run(self, workload: Workload) -> Outcome:
        """See :meth:`wasmoci.handlers.base.BaseHandler.run`."""
        try:
            compiled = self._compile(workload.module, _host.max_pages(workload.limits))
        except InitialMemoryTooLarge as error:
            return Outcome.out_of_memory(workload.limits.memory, detail=error.message)

        def run(wasi: Wasi) -> Outcome:
            return on_stack(
                lambda _: _run(workload, compiled, wasi), _STACK, _SMALLEST_STACK, abandon=_nothing_to_abandon
            )

        return _host.with_wasi(workload, run)

    def precompile(self, module: Module, limits: Limits) -> Path | None:
        """See :meth:`wasmoci.handlers.base.Precompiling.precompile`."""
        pages = _host.max_pages(limits)
        self._fetch(module, pages)
        return compiled.locate(_key(module, pages))

    def _compile(self, module: Module, pages: int | None) -> bytes:
        return self._compiled.get((module.digest, pages), len(module.data), lambda: self._fetch(module, pages))

    def _fetch(self, module: Module, pages: int | None) -> bytes:
        def make() -> bytes:
            from wasmoci.binary.rewrite import limit_memory  # noqa: PLC0415  most modules are known

            # The host's functions find a memory only once there is an instance.
            data = export_start(module.data, source=module.source)
            if pages is not None:
                data = limit_memory(data, pages, source=module.source)
            try:
                artifact: bytes = wasmer.Module(_store(), data).serialize()
            except RuntimeError as error:
                raise UnsupportedModule(f"{module.source}: wasmer can't run it: {error}") from None
            return artifact

        return compiled.fetch(_key(module, pages), make=make, dump=bytes, load=_load)


def _key(module: Module, pages: int | None) -> compiled.Key:
    version = _host.rewriter("wasmer-compiler-cranelift", str(_cranelift.__file__))
    return compiled.Key(module.digest, "wasmer", version, f"{pages} pages")


def _load(path: str) -> bytes | None:
    artifact = Path(path).read_bytes()
    try:
        wasmer.Module.deserialize(_store(), artifact)
    except RuntimeError:
        return None
    return artifact


def _run(workload: Workload, compiled: bytes, wasi: Wasi) -> Outcome:
    store = _store()
    module = wasmer.Module.deserialize(store, compiled)
    imports = _imports(store, workload.module, wasi)
    limits = workload.limits
    instance = None
    try:
        workload.started()
        instance = wasmer.Instance(module, imports)
        wasi.bind(_Memory(workload.module, instance))
        if _has(instance, START_EXPORT):
            getattr(instance.exports, START_EXPORT)()
        for function in _host.functions_to_call(workload):
            getattr(instance.exports, function)()
    except ProcExit as exit_:
        return _host.exited(exit_.code, refused=_refused(instance), limits=limits)
    except RuntimeError as error:
        message, *frames = str(error).split("\n", _MAX_FRAMES + 1)
        backtrace = tuple(frame.strip().removeprefix("at ") for frame in frames[:_MAX_FRAMES])
        message = message.removeprefix("RuntimeError: ")
        return _host.trapped(message, backtrace, refused=_refused(instance), limits=limits)
    finally:
        # The host's functions know the memory, which knows the store, which knows the functions: nobody sees that circle.
        wasi.bind(_host.NO_MEMORY)
    return _host.exited(0, refused=_refused(instance), limits=limits)


def _imports(store: Any, module: Module, wasi: Wasi) -> Any:
    kinds = {"i32": wasmer.Type.I32, "i64": wasmer.Type.I64}
    functions = wasi.functions()
    namespaces: dict[str, dict[str, Any]] = {}
    for item in _host.imported_functions(module):
        function = functions[item.name]
        signature = wasmer.FunctionType(
            [kinds[kind] for kind in function.params], [kinds[kind] for kind in function.results]
        )
        namespaces.setdefault(item.module, {})[item.name] = wasmer.Function(store, function.call, signature)
    imports = wasmer.ImportObject()
    for namespace, members in namespaces.items():
        imports.register(namespace, members)
    return imports


class _Memory:
    def __init__(self, module: Module, instance: Any) -> None:
        name = next((export.name for export in module.exports if export.kind == "memory"), None)
        self._memory = None if name is None else getattr(instance.exports, name)

    def view(self) -> memoryview:
        return memoryview(b"" if self._memory is None else self._memory.buffer)


def _has(instance: Any, export: str) -> bool:
    try:
        getattr(instance.exports, export)
    except LookupError:
        return False
    return True


def _refused(instance: Any) -> int:
    try:
        return 0 if instance is None else int(getattr(instance.exports, REFUSED_EXPORT).value)
    except LookupError:  # the module can't grow past the limit, or has none
        return 0


def _store() -> Any:
    return wasmer.Store(wasmer.engine.JIT(_compiler))


def _nothing_to_abandon() -> None:
    # The guest holds the GIL: whoever waits for it is not interrupted while it runs.
    pass
