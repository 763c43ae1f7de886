"""The engines, bare: call a function of a module that imports nothing."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from tests.support.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable

# The last wheels of wasmer 1.1 are for Python 3.10.
ENGINES = ("wasmtime", "wasm3", "wasmer") if sys.version_info < (3, 11) else ("wasmtime", "wasm3")


def assembled(text: str, kind: str = "module") -> bytes:
    """The fields of a module, or of a component, in the binary format, by wasmtime."""
    require(importlib.util.find_spec("wasmtime"), "wasmtime is not installed: pip install wasmtime")
    import wasmtime  # noqa: PLC0415

    return bytes(wasmtime.wat2wasm(f"({kind} {text})"))


class Instance:
    """A module that has been instantiated: ``call`` gives a function's result, ``read`` a global's value."""

    def __init__(self, call: Callable[..., Any], read: Callable[[str], int], kept: object) -> None:
        self._call = call
        self.read = read
        self._kept = kept  # pywasm3 doesn't keep what it needs

    def call(self, function: str, *arguments: int) -> Any:
        """The result; or, for a trap, what the engine says."""
        try:
            return self._call(function, *arguments)
        except Exception as error:  # noqa: BLE001  each engine has exceptions of its own
            return f"trap: {error}"


def instantiate(engine: str, data: bytes) -> Instance:
    """Instantiate a module on an engine; the test is skipped where that isn't installed."""
    require(importlib.util.find_spec(engine), f"{engine} is not installed")
    return {"wasmtime": _wasmtime, "wasm3": _wasm3, "wasmer": _wasmer}[engine](data)


def _wasmtime(data: bytes) -> Instance:
    import wasmtime  # noqa: PLC0415

    config = wasmtime.Config()
    config.wasm_multi_memory = True
    config.wasm_memory64 = True
    store = wasmtime.Store(wasmtime.Engine(config))
    exports: Any = wasmtime.Instance(store, wasmtime.Module(store.engine, data), []).exports(store)
    return Instance(lambda name, *given: exports[name](store, *given), lambda name: exports[name].value(store), None)


def _wasm3(data: bytes) -> Instance:
    import wasm3  # noqa: PLC0415

    environment = wasm3.Environment()
    runtime = environment.new_runtime(1 << 16)
    module = environment.parse_module(data)
    runtime.load(module)
    return Instance(
        lambda name, *given: runtime.find_function(name)(*given), module.get_global, (environment, runtime, data)
    )


def _wasmer(data: bytes) -> Instance:
    import wasmer  # noqa: PLC0415
    from wasmer_compiler_cranelift import Compiler  # noqa: PLC0415

    store = wasmer.Store(wasmer.engine.JIT(Compiler))
    exports = wasmer.Instance(wasmer.Module(store, data)).exports
    return Instance(
        lambda name, *given: getattr(exports, name)(*given), lambda name: getattr(exports, name).value, store
    )
