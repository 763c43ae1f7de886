"""The handler for wasmtime: core modules and components, with wasmtime's own WASI.

What is asked of an engine before it runs anything is answered without the engine where that is possible: its library is opened
by the modules that :mod:`wasmoci.handlers._wasmtime.engines` imports, and only when it is used.
"""

from __future__ import annotations

import threading
import weakref
from pathlib import Path

from wasmoci import compiled, determinism
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedWorkload
from wasmoci.handlers import caller_signals, run_context, wasi_host
from wasmoci.handlers._wasmtime.engine_kinds import Needs, assembled_key, compiled_before
from wasmoci.handlers._wasmtime.interfaces import check_imports, holds_descriptors, holds_memory
from wasmoci.handlers._wasmtime.location import library_file
from wasmoci.handlers._wasmtime.refusals import FEATURES, features, unreadable
from wasmoci.handlers._wasmtime.waiting import never_waits
from wasmoci.handlers.base import BaseHandler
from wasmoci.handlers.capabilities import Capability
from wasmoci.host.file_cache import Cache
from wasmoci.limits import NO_LIMITS, Limits, stoppable
from wasmoci.wasm.module import Module, ModuleKind

if TYPE_CHECKING:
    from wasmoci.handlers._wasmtime.engines import Engine
    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.oci.entrypoint import Entrypoint
    from wasmoci.oci.guest_files import GuestFiles
    from wasmoci.stdio import Stdio

# Opening a FIFO waits for its other end; the others say so themselves. In these calls the engine can't be interrupted.
_WAITING = frozenset({"poll_oneoff", "path_open", "sock_accept", "sock_recv", "sock_send"})
_KEPT = 64  # digests of modules that wasmtime accepts


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
            Capability.SANDBOXED,
        }
    )
    features = FEATURES

    def __init__(self) -> None:
        library_file()  # or this machine has no engine
        self.features = features()
        self._engines: dict[Needs, Engine] = {}
        self._valid: weakref.WeakSet[Module] = weakref.WeakSet()
        self._assembled: weakref.WeakKeyDictionary[Module, Module] = weakref.WeakKeyDictionary()
        self._accepted = Cache(_KEPT, 0)
        self._lock = threading.Lock()

    def provides(self, module: str, name: str) -> bool:
        """See :meth:`BaseHandler.provides`."""
        return wasi_host.provides(module, name)

    def assemble(self, module: Module) -> Module:
        """See :meth:`BaseHandler.assemble`.

        Raises:
            InvalidModule: The text has an error; the message has its place.
        """
        if module.kind is not ModuleKind.TEXT:
            return module
        assembled = self._assembled.get(module)
        if assembled is None:
            # Kept as code is: to assemble a hostile text takes as long as to compile it.
            data = compiled.fetch(
                assembled_key(module),
                make=lambda: _assemble(module),
                dump=bytes,
                load=lambda path: Path(path).read_bytes(),
            )
            assembled = self._assembled[module] = Module.from_bytes(data, source=module.source)
        return assembled

    def validate(self, module: Module) -> None:
        """See :meth:`EngineHandler.validate`."""
        if module in self._valid:
            return
        assembled = self.assemble(module)
        super().validate(assembled)
        if assembled.kind is ModuleKind.COMPONENT:
            check_imports(assembled)
        else:
            wasi_host.check_signatures(assembled)
            wasi_host.check_memories(assembled)
        self._valid.add(module)

    def check_features(self, module: Module) -> None:
        """See :meth:`BaseHandler.check_features`; wasmtime itself is asked once, unless it has compiled the module before."""

        def look() -> None:
            if not compiled_before(module):
                self._engine(NO_LIMITS).validate(module)

        self._accepted.get(module.digest, 0, look)

    def check(self, module: Module, entrypoint: Entrypoint, files: GuestFiles) -> None:
        """See :meth:`BaseHandler.check`."""
        if module.kind is ModuleKind.COMPONENT and entrypoint.function is None:
            from wasmoci.handlers._wasmtime.interfaces import check_command  # noqa: PLC0415  most are core modules

            check_command(module)
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
        """See :meth:`wasmoci.handlers.contract.Interruptible.interrupts`."""
        module = self.assemble(module)
        # Foreseen bytes are made in one go, however many.
        waiting = _WAITING if determinism.current() is None else _WAITING | {"random_get"}
        calls_that_wait = any(item.name in waiting for item in module.imports)
        return module.kind is ModuleKind.CORE and not calls_that_wait and never_waits(stdio)

    def bounds(self, module: Module, limits: Limits) -> bool:
        """See :meth:`wasmoci.handlers.contract.Bounding.bounds`."""
        module = self.assemble(module)
        if module.kind is not ModuleKind.COMPONENT:
            return True
        return not holds_descriptors(module) and (limits.memory is None or not holds_memory(module))

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Precompiling.precompile`."""
        module = self.assemble(module)
        self.validate(module)
        file = self.kept(module, limits)
        if file is None:
            self._engine(limits).compile(module)
            file = self.kept(module, limits)
        return file

    def kept(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """See :meth:`wasmoci.handlers.contract.Keeping.kept`."""
        if (
            module.kind is ModuleKind.TEXT
            and module not in self._assembled
            and not compiled.known([assembled_key(module)])
        ):
            return None
        return compiled.locate(Needs.of(limits).key(self.assemble(module)))

    def preload(self) -> None:
        """See :meth:`wasmoci.handlers.contract.Preloading.preload`."""
        from wasmoci.handlers._wasmtime import execution  # noqa: F401, PLC0415  the engine

        wasi_host.preload()
        for limits in (NO_LIMITS, Limits(time=1.0)):
            self._engine(limits).preload()

    def recall(self, module: Module, limits: Limits) -> None:
        """See :meth:`BaseHandler.recall`; wasmtime compiles and validates with threads that stay."""
        if module.kind is not ModuleKind.TEXT and compiled.known([Needs.of(limits).key(module)]):
            if module.kind is ModuleKind.CORE:
                self.check_features(module)
            self._engine(limits).recall(module)

    def run(self, workload: Workload) -> Outcome:
        """See :meth:`BaseHandler.run`."""
        try:
            from wasmoci.handlers._wasmtime.execution import execute  # noqa: PLC0415  the engine
        except ImportError as error:
            raise wasi_host.unloadable(self.name, error) from error
        limits = workload.limits
        if limits.time is None and run_context.inline.get() and caller_signals.reach():
            limits = stoppable(limits)
        return execute(workload, self._engine(limits))

    def _engine(self, limits: Limits) -> Engine:
        needs = Needs.of(limits)
        engine = self._engines.get(needs)
        if engine is None or not engine.is_of_this_process:
            try:
                from wasmoci.handlers._wasmtime.engines import Engine  # noqa: PLC0415  the engine
            except ImportError as error:
                raise wasi_host.unloadable(self.name, error) from error
            with self._lock:
                engine = self._engines.get(needs)
                if engine is None or not engine.is_of_this_process:
                    engine = self._engines[needs] = Engine(needs)
        return engine


def _assemble(module: Module) -> bytes:
    from wasmoci.handlers._wasmtime.library import Error, assemble  # noqa: PLC0415  the engine

    try:
        return assemble(module.data)
    except Error as error:
        raise unreadable(module, error) from None
