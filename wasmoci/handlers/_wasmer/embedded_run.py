"""Compiles, loads and runs modules with the package ``wasmer`` 1.1."""

from __future__ import annotations

import importlib
from pathlib import Path

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers import _interpreter, wasi_host
from wasmoci.wasi import ProcExit
from wasmoci.wasm.memory_bound import REFUSED_EXPORT
from wasmoci.wasm.rewrite import limit_memory
from wasmoci.wasm.start_function import START_EXPORT, export_start

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.wasi import Wasi
    from wasmoci.wasm.module import Module

# Not by name: the packages are there on some versions of Python only.
wasmer = importlib.import_module("wasmer")
_compiler = importlib.import_module("wasmer_compiler_cranelift").Compiler

_MAX_FRAMES = 64


def compile_module(module: Module, pages: int | None) -> bytes:
    """Compile a module with wasmer.

    Args:
        module: The module.
        pages: The limit of its memory, in pages of 64 KiB; None for no limit.

    Raises:
        UnsupportedModule: wasmer can't run it.
        InitialMemoryTooLarge: It begins with more memory.
    """
    # The host's functions find a memory only once there is an instance.
    data = export_start(module.data, source=module.source)
    if pages is not None:
        data = limit_memory(data, pages, source=module.source)
    try:
        artifact: bytes = wasmer.Module(_store(), data).serialize()
    except RuntimeError as error:
        raise UnsupportedModule(f"{module.source}: wasmer can't run it: {error}") from None
    return artifact


def load(path: str) -> bytes | None:
    """Load a module from a file that wasmer has written; None if it can't be loaded."""
    artifact = Path(path).read_bytes()
    try:
        wasmer.Module.deserialize(_store(), artifact)
    except RuntimeError:
        return None
    return artifact


def run(workload: Workload, artifact: bytes, wasi: Wasi) -> Outcome:
    """Run a guest.

    Args:
        workload: The guest and what it gets.
        artifact: What wasmer has made of its module.
        wasi: Its host.

    Raises:
        EngineError: Its calls would come to another interpreter.
        BaseException: What a function of the host has raised.
    """
    _interpreter.require_reached("wasmer")
    store = _store()
    module = wasmer.Module.deserialize(store, artifact)
    raised: list[BaseException] = []
    imports = _imports(store, workload.module, wasi, raised)
    limits = workload.limits
    instance = None
    try:
        workload.started()
        instance = wasmer.Instance(module, imports)
        wasi.bind(_Memory(workload.module, instance))
        if _has(instance, START_EXPORT):
            getattr(instance.exports, START_EXPORT)()
        for function in wasi_host.functions_to_call(workload):
            getattr(instance.exports, function)()
    except ProcExit as exit_:
        if raised[0] is not exit_:
            raise _failure(raised) from None
        return wasi_host.exited(exit_.code, refused=_refused(instance), limits=limits)
    except RuntimeError as error:
        if raised:
            raise _failure(raised) from None
        if type(error) is not RuntimeError:  # wasmer's own is no other
            raise
        message, *frames = str(error).split("\n", _MAX_FRAMES + 1)
        backtrace = tuple(frame.strip().removeprefix("at ") for frame in frames[:_MAX_FRAMES])
        message = message.removeprefix("RuntimeError: ")
        return wasi_host.trapped(message, backtrace, refused=_refused(instance), limits=limits)
    finally:
        # The host's functions know the memory, which knows the store, which knows the functions: nobody sees that circle.
        wasi.bind(wasi_host.NO_MEMORY)
    if raised:
        raise _failure(raised)
    return wasi_host.exited(0, refused=_refused(instance), limits=limits)


def _failure(raised: list[BaseException]) -> BaseException:
    """Return the error that ended a guest; None for an exit, even if an error followed it."""
    return wasi_host.unanswered() if isinstance(raised[0], ProcExit) else raised[0]


def _watched(call: Callable[..., int | None], raised: list[BaseException]) -> Callable[..., int | None]:
    """A function of the host that keeps what it raises, and from then on does nothing else than to raise it again."""

    def called(*arguments: int) -> int | None:
        if raised:
            raise raised[0]
        try:
            return call(*arguments)
        except BaseException as error:
            raised.append(error)
            raise

    return called


def _imports(store: Any, module: Module, wasi: Wasi, raised: list[BaseException]) -> Any:
    kinds = {"i32": wasmer.Type.I32, "i64": wasmer.Type.I64}
    functions = wasi.functions()
    namespaces: dict[str, dict[str, Any]] = {}
    for item in wasi_host.imported_functions(module):
        function = functions[item.name]
        signature = wasmer.FunctionType(
            [kinds[kind] for kind in function.params], [kinds[kind] for kind in function.results]
        )
        namespaces.setdefault(item.module, {})[item.name] = wasmer.Function(
            store, _watched(function.call, raised), signature
        )
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
