"""The same guest on wasmtime's own WASI, the oracle."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
from typing import TYPE_CHECKING, Any

from tests.support.requirements import require
from tests.wasi.harness import MASK, NAMES, SCRATCH, Guest
from wasmoci.wasi import FUNCTIONS, MODULES, Preopen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def trampolines(module: str = MODULES[0]) -> str:
    """A module in text form that exports a page of memory, and every function of WASI as it imports it."""
    imports, exports = [], []
    for name, (params, results) in FUNCTIONS.items():
        kind = f"(param {' '.join(params)}) (result {' '.join(results)})"
        imports.append(f'(import "{module}" "{name}" (func ${name} {kind}))')
        arguments = " ".join(f"(local.get {index})" for index in range(len(params)))
        exports.append(f'(func (export "{name}") {kind} {arguments} (call ${name}))')
    return "\n".join(["(module", *imports, '(memory (export "memory") 1)', *exports, ")"])


@functools.cache
def _module() -> Any:
    import wasmtime  # noqa: PLC0415 - an engine, which may be missing

    engine = wasmtime.Engine()
    return engine, wasmtime.Module(engine, trampolines())


class NativeGuest(Guest):
    """Calls wasmtime's functions; a trap is the result ``TRAP``.

    Args:
        root: Host path of the directory that is ``/``.
        preopens: The preopens, when it isn't that alone.
    """

    def __init__(self, root: Path | None = None, *, preopens: Iterable[Preopen] = ()) -> None:
        require(importlib.util.find_spec("wasmtime"), "wasmtime is the oracle: pip install wasmtime")
        import wasmtime  # noqa: PLC0415 - an engine, which may be missing

        engine, module = _module()
        self._store = wasmtime.Store(engine)
        config = wasmtime.WasiConfig()
        for preopen in [Preopen(root, "/")] if root is not None else preopens:
            config.preopen_dir(str(preopen.host_path), preopen.guest_path, not preopen.read_only)
        self._store.set_wasi(config)
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        self._exports: Any = linker.instantiate(self._store, module).exports(self._store)
        self.memory = self
        self._free = itertools.count(SCRATCH, 4096)
        self.view()[:] = MASK * len(self.view())

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def view(self) -> memoryview:
        """Give the instance's memory."""
        memory = self._exports["memory"]
        size = memory.data_len(self._store)
        array = (ctypes.c_ubyte * size).from_address(ctypes.addressof(memory.data_ptr(self._store).contents))
        return memoryview(array).cast("B")

    def call(self, name: str, *arguments: int) -> int:
        """Call an export; -1 stands for a trap."""
        import wasmtime  # noqa: PLC0415 - an engine, which may be missing

        try:
            result: int = self._exports[name](self._store, *arguments)
        except (wasmtime.Trap, wasmtime.WasmtimeError):
            return -1
        return result

    def name(self, function: str, *arguments: int) -> str:
        """Call an export and give the name of the errno."""
        return "TRAP" if (errno := self.call(function, *arguments)) == -1 else NAMES[errno]
