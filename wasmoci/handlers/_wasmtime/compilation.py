"""Loads compiled modules and components from the compile cache, or compiles and stores them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from wasmoci import compiled
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasmtime.library import Error, Owned, check, library, take_bytes
from wasmoci.handlers._wasmtime.prototypes import wasm_byte_vec_t
from wasmoci.handlers._wasmtime.refusals import refused
from wasmoci.wasm.module import ModuleKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers._wasmtime.engine_kinds import Needs
    from wasmoci.wasm.module import Module


class _Threads:
    """Whether wasmtime's own threads compile in this process. A fork takes none along, and would wait for them for ever."""

    started = False
    lost = 0

    @classmethod
    def forked(cls) -> None:
        cls.lost += cls.started


os.register_at_fork(after_in_child=_Threads.forked)


def threads_lost() -> int:
    """Return how many times a process whose threads compiled was forked on the way to this one: its engines are of no use here."""
    return _Threads.lost


def get(module: Module, engine: Owned, needs: Needs) -> Owned:
    """Return a module's code: a ``wasmtime_module_t`` or a ``wasmtime_component_t``.

    Args:
        module: The module or component.
        engine: The engine that it is for.
        needs: What the engine can do.

    Raises:
        InvalidModule: wasmtime finds the module damaged.
        UnsupportedModule: It needs what wasmtime lacks.
    """
    # The functions for both are the same but for their names.
    kind = "wasmtime_component" if module.kind is ModuleKind.COMPONENT else "wasmtime_module"

    def new(function: str, *data: object) -> Owned:
        made = ctypes.c_void_p()
        check(getattr(library, f"{kind}_{function}")(engine.pointer, *data, ctypes.byref(made)))
        return Owned(made.value or 0, getattr(library, f"{kind}_delete"))

    def make() -> Owned:
        _Threads.started = True
        try:
            return new("new", module.data, len(module.data))
        except Error as error:
            raise refused(module, error) from None

    def dump(code: Owned) -> bytes:
        vector = wasm_byte_vec_t()
        check(getattr(library, f"{kind}_serialize")(code.pointer, ctypes.byref(vector)))
        return take_bytes(vector)

    return compiled.fetch(needs.key(module), make=make, dump=dump, load=lambda path: _load(new, path))


def _load(new: Callable[..., Owned], path: str) -> Owned | None:
    try:
        return new("deserialize_file", os.fsencode(path))
    except Error:
        pass
    try:  # a file system may not let its files be mapped as code
        data = Path(path).read_bytes()
        return new("deserialize", data, len(data))
    except (Error, OSError):
        return None


def validate(module: Module, engine: Owned) -> None:
    """Validate a core module without compiling it.

    Raises:
        InvalidModule: wasmtime finds it damaged.
        UnsupportedModule: It needs what wasmtime lacks.
    """
    _Threads.started = True
    try:
        check(library.wasmtime_module_validate(engine.pointer, module.data, len(module.data)))
    except Error as error:
        raise refused(module, error) from None
