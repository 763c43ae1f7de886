"""The handler for wasmtime: core modules and components, with wasmtime's own WASI."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

import wasmtime

from wasmoci import determinism
from wasmoci.capabilities import Capability
from wasmoci.errors import UnsupportedWorkload
from wasmoci.handlers import _host
from wasmoci.handlers._wasmtime import calls, components, hosted, interruption
from wasmoci.handlers._wasmtime.context import configure, never_waits
from wasmoci.handlers._wasmtime.engines import Engine, Needs
from wasmoci.handlers._wasmtime.hosted import Host
from wasmoci.handlers._wasmtime.inner import LinkedInner
from wasmoci.handlers._wasmtime.memory import MemoryAccount, limit_tables
from wasmoci.handlers._wasmtime.outputs import on_own_thread
from wasmoci.handlers._wasmtime.paths import GuestPaths
from wasmoci.handlers._wasmtime.refusals import FEATURES, unreadable
from wasmoci.handlers._wasmtime.run import Run
from wasmoci.handlers._wasmtime.traps import outcome_of
from wasmoci.handlers._wasmtime.writes import GuestOutputs, inherits
from wasmoci.handlers.base import NO_LIMITS, BaseHandler
from wasmoci.limits import Limits
from wasmoci.module import FuncType, Module, ModuleKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wasmoci.entrypoint import Entrypoint
    from wasmoci.filesystem import GuestFiles
    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.stdio import Stdio

# Opening a FIFO waits for its other end; the others say so themselves. In these calls the engine can't be interrupted.
_WAITING = frozenset({"poll_oneoff", "path_open", "sock_accept", "sock_recv", "sock_send"})

_OLDER_WASI = "wasi_unstable"
_LACKING = frozenset({"fd_fdstat_set_rights", "fd_allocate"})  # of wasmtime's own WASI, which answers NOTSUP
_ABOUT_FILES = ("path_", "fd_readdir", "fd_prestat_get")


class WasmtimeHandler(BaseHandler):
    """Runs guests on wasmtime."""

    name = "wasmtime"
    packages = ("wasmtime",)
    capabilities = frozenset(
        {
            Capability.WASI_PREVIEW1,
            Capability.WASI_02,
            Capability.TEXT,
            Capability.LIVE_FILES,
            Capability.FILE_MOUNTS,
            Capability.READ_ONLY,
            Capability.MEMORY_LIMIT,
            Capability.TIME_LIMIT,
            Capability.FUEL,
            Capability.DETERMINISM,
        }
    )
    features = FEATURES

    def __init__(self) -> None:
        self._engines: dict[Needs, Engine] = {}
        self._valid: weakref.WeakSet[Module] = weakref.WeakSet()
        self._lock = threading.Lock()

    def provides(self, module: str, name: str) -> bool:
        """See :meth:`BaseHandler.provides`."""
        return _host.provides(module, name)

    def assemble(self, module: Module) -> Module:
        """See :meth:`BaseHandler.assemble`.

        Raises:
            InvalidModule: The text has an error; the message has its place.
        """
        if module.kind is not ModuleKind.TEXT:
            return module
        try:
            data = wasmtime.wat2wasm(module.data)
        except wasmtime.WasmtimeError as error:
            raise unreadable(module, error) from None
        return Module.from_bytes(bytes(data), source=module.source)

    def validate(self, module: Module) -> None:
        """See :meth:`EngineHandler.validate`."""
        if module in self._valid:
            return
        assembled = self.assemble(module)
        super().validate(assembled)
        if assembled.kind is ModuleKind.COMPONENT:
            components.check_imports(assembled)
        else:
            _host.check_signatures(assembled)
            _host.check_memories(assembled)
        self._valid.add(module)

    def check_features(self, module: Module) -> None:
        """See :meth:`BaseHandler.check_features`; wasmtime itself is asked, once for each module."""
        self._engine(NO_LIMITS).validate(module)

    def check(self, module: Module, entrypoint: Entrypoint, files: GuestFiles) -> None:
        """See :meth:`BaseHandler.check`."""
        super().check(module, entrypoint, files)
        if module.kind is ModuleKind.COMPONENT and determinism.current() is not None:
            raise UnsupportedWorkload(
                f"{module.source}: {self.name} gives a component the host's own time and random bytes, and no others",
                hint="a core module can be run deterministically",
            )
        if module.kind is ModuleKind.COMPONENT and files.has_file_mounts:
            destinations = ", ".join(mount.destination for mount in files.mounts if mount.is_file)
            raise UnsupportedWorkload(
                f"{self.name} can't mount a single file for a component, as asked for at {destinations}",
                hint="mount the directory that the file is in",
            )

    def interrupts(self, module: Module, stdio: Stdio) -> bool:
        """See :meth:`wasmoci.handlers.base.Interruptible.interrupts`."""
        module = self.assemble(module)
        calls_that_wait = any(item.name in _WAITING for item in module.imports)
        return module.kind is ModuleKind.CORE and not calls_that_wait and never_waits(stdio)

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """See :meth:`wasmoci.handlers.base.Precompiling.precompile`."""
        module = self.assemble(module)
        self.validate(module)
        return self._engine(limits).precompile(module)

    def preload(self) -> None:
        """See :meth:`wasmoci.handlers.base.Preloading.preload`."""
        _host.preload()
        for limits in (NO_LIMITS, Limits(time=1.0)):
            self._engine(limits).preload()

    def recall(self, module: Module, limits: Limits) -> None:
        """See :meth:`BaseHandler.recall`."""
        if module.kind is not ModuleKind.TEXT:
            self._engine(limits).recall(module)

    def run(self, workload: Workload) -> Outcome:
        """See :meth:`BaseHandler.run`."""
        return on_own_thread(lambda: self._run(workload))

    def _run(self, workload: Workload) -> Outcome:
        engine = self._engine(workload.limits)
        with _run(workload, engine) as (run, store):
            if workload.module.kind is ModuleKind.COMPONENT:
                error = _run_component(workload, engine, run, store)
            else:
                error = _run_core(workload, engine, run, store)
            if run.failure is not None:
                raise run.failure
            return outcome_of(error, run, workload.limits)

    def _engine(self, limits: Limits) -> Engine:
        needs = Needs.of(limits)
        with self._lock:
            if needs not in self._engines:
                self._engines[needs] = Engine(needs)
            return self._engines[needs]


@contextlib.contextmanager
def _run(workload: Workload, engine: Engine) -> Iterator[tuple[Run, wasmtime.Store]]:
    """A run that is current on this thread, and its store with the limits set."""
    limits = workload.limits
    run = Run()
    try:
        with wasmtime.Store(engine.engine) as store:
            if engine.needs.stoppable:
                interruption.listen(store)
            if limits.fuel is not None:
                store.set_fuel(limits.fuel)
            if limits.memory is not None:
                run.memory = MemoryAccount(limits.memory, engine.engine)
                limit_tables(store, limits.memory)
            with run.current():
                yield run, store
    finally:
        run.settle()


def _run_core(workload: Workload, engine: Engine, run: Run, store: wasmtime.Store) -> Exception | None:
    """Run a core module; the error or trap that ended it."""
    host = _host_for(workload)
    program = engine.program(workload.module, host)
    context = calls.context_of(store)
    with contextlib.ExitStack() as stack:
        if host in (Host.PYTHON, Host.DETERMINISTIC):
            config = stack.enter_context(hosted.host(workload, run))
        else:
            inner = LinkedInner(engine.inner)
            run.paths = stack.enter_context(contextlib.closing(GuestPaths(workload.files.rootfs, inner)))
            if host is Host.TAKING:
                run.outputs = GuestOutputs(workload.streams, run, run.paths, inner)
            config = stack.enter_context(configure(workload, run))
        store.set_wasi(config)
        workload.started()
        stack.enter_context(interruption.time_limit(workload.limits.time, run, engine.engine))
        instance, error = calls.instantiate(program, context)
        for name in _host.functions_to_call(workload):
            if error is not None:
                break
            function = calls.exported(context, instance, name).func
            error = calls.call(context, function, _results(workload.module, name))
        return error


def _run_component(workload: Workload, engine: Engine, run: Run, store: wasmtime.Store) -> Exception | None:
    """Run a component; the error or trap that ended it."""
    compiled, linker = engine.component(workload.module)
    with configure(workload, run) as config:
        store.set_wasi(config)
        workload.started()
        with interruption.time_limit(workload.limits.time, run, engine.engine):
            instance = components.instantiate(store, linker, compiled, workload.module)
            if isinstance(instance, Exception):
                return instance
            function = components.find_function(store, instance, workload.module, workload.entrypoint.function)
            return components.call(store, function, run)


def _results(module: Module, function: str) -> int:
    export = module.export(function)
    return len(export.type.results) if export is not None and isinstance(export.type, FuncType) else 0


def _host_for(workload: Workload) -> Host:
    """The WASI that a workload gets: wasmtime's own, where that can serve it."""
    if workload.determinism is not None:
        return Host.DETERMINISTIC
    if _needs_host(workload):
        return Host.PYTHON
    return Host.OWN if inherits(workload.streams) else Host.TAKING


def _needs_host(workload: Workload) -> bool:
    """Whether wasmtime's own WASI can't serve a workload.

    That is the older interface, a function that it lacks, and a tree that isn't one directory.
    """
    imports, files = workload.module.imports, workload.files
    if any(item.module == _OLDER_WASI or item.name in _LACKING for item in imports):
        return True
    one_directory = files.cwd == "/" and not files.mounts
    return not one_directory and any(item.name.startswith(_ABOUT_FILES) for item in imports)
