"""Keeps engines with their linkers and compiled modules for later runs.

A limit costs time in every loop of the guest, so there is an engine with what each kind of run needs. They are made when
first used and shared by all runs; so are their linkers and the modules they have compiled, which are kept within bounds.
"""

from __future__ import annotations

import ctypes
import functools
import threading

from wasmoci import compiled
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers._wasmtime import (
    compilation,
    components,
    inner_module,
    linear_memory,
    output_functions,
    proc_exit,
    python_host,
)
from wasmoci.handlers._wasmtime.interfaces import needs_network
from wasmoci.handlers._wasmtime.library import Error, Owned, assemble, check, library
from wasmoci.handlers._wasmtime.linking import Host
from wasmoci.handlers._wasmtime.traps import summary
from wasmoci.host.file_cache import Cache
from wasmoci.wasm.module import Module, ModuleKind

if TYPE_CHECKING:
    from wasmoci.handlers._wasmtime.engine_kinds import Needs

_KEPT_MODULES = 64
_KEPT_BYTES = 256 << 20  # of the modules' files; compiled they take a few times as much


@attrs.frozen
class _Compiled:
    """A compiled core module, and the module linked with each WASI host."""

    module: Owned
    linked: dict[Host, Owned] = attrs.field(factory=dict, init=False)


class Engine:
    """One engine with its linkers and compiled modules. Safe to use from several threads.

    Args:
        needs: What it has to be able to do.

    Attributes:
        needs: See above.
        engine: A ``wasm_engine_t``.
    """

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self._threads_lost = compilation.threads_lost()
        config = library.wasm_config_new()
        library.wasmtime_config_epoch_interruption_set(config, needs.stoppable)
        library.wasmtime_config_consume_fuel_set(config, needs.fuel)
        if needs.accounts:
            linear_memory.use_accounts(config)
            # An image can't be mapped into memory that isn't wasmtime's own.
            library.wasmtime_config_memory_init_cow_set(config, False)
        if self._threads_lost:
            library.wasmtime_config_parallel_compilation_set(config, False)
        self.engine = Owned(library.wasm_engine_new_with_config(config), library.wasm_engine_delete)
        self._kept = Cache(_KEPT_MODULES, _KEPT_BYTES)
        self._lock = threading.Lock()
        self._linkers: dict[Host, Owned] = {}
        self._components: Owned | None = None
        self._inner: Owned | None = None

    @property
    def is_of_this_process(self) -> bool:
        """Whether it can compile here, and not only in the process that this one was forked from."""
        return self._threads_lost == compilation.threads_lost()

    def validate(self, module: Module) -> None:
        """Validate a core module without compiling it.

        Raises:
            InvalidModule: wasmtime finds it damaged.
            UnsupportedModule: It needs what wasmtime lacks.
        """
        compilation.validate(module, self.engine)

    def program(self, module: Module, host: Host) -> Owned:
        """Return a core module, compiled and linked: a ``wasmtime_instance_pre_t``.

        Args:
            module: The module.
            host: The WASI that it gets.

        Raises:
            InvalidModule: wasmtime finds it damaged.
            UnsupportedModule: It needs what wasmtime lacks, or imports something under a wrong type.
        """
        kept = self._kept.get(module.digest, len(module.data), lambda: _Compiled(self.compile(module)))
        program = kept.linked.get(host)
        if program is None:
            with self._lock:
                try:
                    program = _link(self._linker(host), kept.module)
                except Error as error:
                    raise UnsupportedModule(f"{module.source}: {summary(error)}") from None
                kept.linked[host] = program
        return program

    def component(self, module: Module) -> tuple[Owned, Owned]:
        """Return a compiled component, and the linker with its imports.

        Raises:
            InvalidModule: wasmtime finds it damaged.
            UnsupportedModule: It needs what wasmtime lacks.
        """

        def make() -> tuple[Owned, Owned]:
            made = self.compile(module)
            if not needs_network(module):
                with self._lock:
                    if self._components is None:
                        self._components = components.new_linker(self.engine)
                    return made, self._components
            linker = components.new_linker(self.engine)
            components.define_traps(linker, made)
            return made, linker

        return self._kept.get(module.digest, len(module.data), make)

    def inner(self) -> Owned:
        """Return the module through which host functions call wasmtime's WASI."""
        with self._lock:
            if self._inner is None:
                linker = _new_linker(self.engine)
                check(library.wasmtime_linker_define_wasi(linker.pointer))
                self._inner = _link(linker, self.compile(_inner_module()))
            return self._inner

    def preload(self) -> None:
        """Create the linker that most modules need, and load what is cached for it."""
        with self._lock:
            self._linker(Host.OWN)
        if compiled.known([self.needs.key(_inner_module())]):
            self.inner()

    def recall(self, module: Module) -> None:
        """Load a module's code from the compile cache."""
        if module.kind is ModuleKind.COMPONENT:
            self.component(module)
        else:
            self.preload()
            self.program(module, Host.OWN)

    def compile(self, module: Module) -> Owned:
        """Return a module's or component's code, from the compile cache if possible.

        Raises:
            InvalidModule: wasmtime finds it damaged.
            UnsupportedModule: It needs what wasmtime lacks.
        """
        return compilation.get(module, self.engine, self.needs)

    def _linker(self, host: Host) -> Owned:
        linker = self._linkers.get(host)
        if linker is None:
            linker = self._linkers[host] = _new_linker(self.engine)
            library.wasmtime_linker_allow_shadowing(linker.pointer, True)
            if host in (Host.PYTHON, Host.DETERMINISTIC):
                python_host.define(linker, host)
            else:
                check(library.wasmtime_linker_define_wasi(linker.pointer))
                proc_exit.define(linker)
                if host is Host.TAKING:
                    output_functions.define(linker)
        return linker


def _new_linker(engine: Owned) -> Owned:
    return Owned(library.wasmtime_linker_new(engine.pointer), library.wasmtime_linker_delete)


def _link(linker: Owned, module: Owned) -> Owned:
    """Link a module with its imports: a ``wasmtime_instance_pre_t``."""
    program = ctypes.c_void_p()
    check(library.wasmtime_linker_instantiate_pre(linker.pointer, module.pointer, ctypes.byref(program)))
    return Owned(program.value or 0, library.wasmtime_instance_pre_delete)


@functools.cache
def _inner_module() -> Module:
    return Module.from_bytes(assemble(inner_module.MODULE.encode()), source="wasmoci's own module")
