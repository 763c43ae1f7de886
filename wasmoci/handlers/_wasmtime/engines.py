"""Engines, and what is compiled for them.

A limit costs time in every loop of the guest, so there is an engine with what each kind of run needs. They are made when
first used and shared by all runs; so are their linkers and the modules they have compiled, which are kept within bounds.
"""

from __future__ import annotations

import functools
import itertools
import threading
from typing import TYPE_CHECKING

import wasmtime

from wasmoci import compiled
from wasmoci.cache import Cache
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers._wasmtime import code, components, exits, hosted, inner, memory, paths, writes
from wasmoci.handlers._wasmtime.hosted import Host
from wasmoci.handlers._wasmtime.refusals import refused
from wasmoci.handlers._wasmtime.traps import summary
from wasmoci.module import Module, ModuleKind

if TYPE_CHECKING:
    from pathlib import Path

    import attrs
    from wasmtime import component

    from wasmoci.limits import Limits
else:
    from wasmoci import _attrs as attrs

_KEPT_MODULES = 64
_KEPT_BYTES = 256 << 20  # of the modules' files; compiled they take a few times as much


@attrs.frozen
class Needs:
    """What an engine has to be able to do.

    Args:
        stoppable: Guests can be stopped while they run.
        fuel: Their instructions are counted.
        accounts: Their memory is taken from an account.
    """

    stoppable: bool
    fuel: bool
    accounts: bool

    @classmethod
    def of(cls, limits: Limits) -> Needs:
        """What limits take."""
        return cls(
            stoppable=limits.time is not None or limits.memory is not None,
            fuel=limits.fuel is not None,
            accounts=limits.memory is not None,
        )

    @property
    def words(self) -> str:
        """The same as words, for the compile cache."""
        names = {"stoppable": self.stoppable, "fuel": self.fuel, "accounts": self.accounts}
        return " ".join(name for name, needed in names.items() if needed)


@attrs.frozen
class _Compiled:
    """A core module, and what it became when linked with each WASI host."""

    module: wasmtime.Module
    linked: dict[Host, wasmtime.InstancePre] = attrs.field(factory=dict, init=False)


class Engine:
    """One engine with its linkers and compiled modules. Safe to use from several threads.

    Args:
        needs: What it has to be able to do.
    """

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        config = wasmtime.Config()
        config.epoch_interruption = needs.stoppable
        config.consume_fuel = needs.fuel
        if needs.accounts:
            memory.use_accounts(config)
            config.memory_init_cow = False  # an image can't be mapped into memory that isn't wasmtime's own
        self.engine = wasmtime.Engine(config)
        self._kept = Cache(_KEPT_MODULES, _KEPT_BYTES)
        self._valid = Cache(_KEPT_MODULES, _KEPT_BYTES)
        self._lock = threading.Lock()
        self._linkers: dict[Host, wasmtime.Linker] = {}
        self._components: component.Linker | None = None
        self._inner: wasmtime.InstancePre | None = None

    def validate(self, module: Module) -> None:
        """Have wasmtime look at a core module without compiling it, unless it has compiled it before.

        Raises:
            InvalidModule: wasmtime finds it damaged.
            UnsupportedModule: It needs what wasmtime lacks.
        """

        def look() -> None:
            if compiled.known(code.key(module, needs.words) for needs in _ALL_NEEDS):
                return
            try:
                wasmtime.Module.validate(self.engine, module.data)
            except wasmtime.WasmtimeError as error:
                raise refused(module, error) from None

        self._valid.get(module.digest, 0, look)

    def program(self, module: Module, host: Host) -> wasmtime.InstancePre:
        """A core module, compiled and linked.

        Args:
            module: The module.
            host: The WASI that it gets.

        Raises:
            InvalidModule: wasmtime finds it damaged.
            UnsupportedModule: It needs what wasmtime lacks, or imports something under a wrong type.
        """
        kept = self._kept.get(module.digest, len(module.data), lambda: self._compile(module))
        with self._lock:
            program = kept.linked.get(host)
            if program is None:
                try:
                    program = self._linker(host).instantiate_pre(kept.module)
                except wasmtime.WasmtimeError as error:
                    raise UnsupportedModule(f"{module.source}: {summary(error)}") from None
                kept.linked[host] = program
            return program

    def component(self, module: Module) -> tuple[component.Component, component.Linker]:
        """A component, compiled, and the linker that has what it imports.

        Raises:
            InvalidModule: wasmtime finds it damaged.
            UnsupportedModule: It needs what wasmtime lacks.
        """
        from wasmtime import component  # noqa: PLC0415  it costs a tenth of a start, and core modules don't need it

        def make() -> tuple[component.Component, component.Linker]:
            made = code.get(component.Component, self.engine, module, self.needs.words)
            if not components.needs_network(module):
                with self._lock:
                    if self._components is None:
                        self._components = _component_linker(self.engine)
                    return made, self._components
            linker = _component_linker(self.engine)
            linker.define_unknown_imports_as_traps(made)
            return made, linker

        return self._kept.get(module.digest, len(module.data), make)

    def inner(self) -> wasmtime.InstancePre:
        """The module through which host functions call wasmtime's WASI."""
        with self._lock:
            if self._inner is None:
                linker = wasmtime.Linker(self.engine)
                linker.define_wasi()
                made = code.get(wasmtime.Module, self.engine, _inner_module(), self.needs.words)
                self._inner = linker.instantiate_pre(made)
            return self._inner

    def preload(self) -> None:
        """Make the linker that most modules need, and load what there is already of what may be called through it."""
        with self._lock:
            self._linker(Host.OWN)
        if compiled.known([code.key(_inner_module(), self.needs.words)]):
            self.inner()

    def recall(self, module: Module) -> None:
        """Load a module's code when the compile cache has it; wasmtime compiles and validates with threads that stay."""
        if compiled.known([code.key(module, self.needs.words)]):
            if module.kind is ModuleKind.COMPONENT:
                self.component(module)
            else:
                self.preload()
                self.validate(module)
                self.program(module, Host.OWN)

    def precompile(self, module: Module) -> Path | None:
        """The compile cache's file of a module or component; None where there is no cache.

        Raises:
            InvalidModule: wasmtime finds it damaged.
            UnsupportedModule: It needs what wasmtime lacks.
        """
        if module.kind is ModuleKind.COMPONENT:
            from wasmtime import component  # noqa: PLC0415

            code.get(component.Component, self.engine, module, self.needs.words)
        else:
            code.get(wasmtime.Module, self.engine, module, self.needs.words)
        return compiled.locate(code.key(module, self.needs.words))

    def _compile(self, module: Module) -> _Compiled:
        return _Compiled(code.get(wasmtime.Module, self.engine, module, self.needs.words))

    def _linker(self, host: Host) -> wasmtime.Linker:
        linker = self._linkers.get(host)
        if linker is None:
            linker = self._linkers[host] = wasmtime.Linker(self.engine)
            linker.allow_shadowing = True
            if host in (Host.PYTHON, Host.DETERMINISTIC):
                hosted.define(linker, host)
            else:
                linker.define_wasi()
                exits.define(linker)
                paths.define(linker)
                if host is Host.TAKING:
                    writes.define(linker)
        return linker


@functools.cache
def _inner_module() -> Module:
    return Module.from_bytes(bytes(wasmtime.wat2wasm(inner.MODULE)), source="wasmoci's own module")


def _component_linker(engine: wasmtime.Engine) -> component.Linker:
    from wasmtime import component  # noqa: PLC0415

    linker = component.Linker(engine)
    linker.add_wasip2()
    return linker


_ALL_NEEDS = tuple(Needs(*flags) for flags in itertools.product((False, True), repeat=3))
