"""Runs one guest from its compiled module to its outcome."""

from __future__ import annotations

import contextlib
import threading

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers import wasi_host
from wasmoci.handlers._guest_thread import off_main_thread
from wasmoci.handlers._wasmtime import calls, components, interruption, python_host, stdin
from wasmoci.handlers._wasmtime.deferred_signals import DeferredSignals
from wasmoci.handlers._wasmtime.inner_module import LinkedInner
from wasmoci.handlers._wasmtime.library import Owned, check, library
from wasmoci.handlers._wasmtime.linear_memory import limit_tables
from wasmoci.handlers._wasmtime.linking import Host, host_for
from wasmoci.handlers._wasmtime.memory_account import MemoryAccount
from wasmoci.handlers._wasmtime.native_stack import with_room
from wasmoci.handlers._wasmtime.output_functions import GuestOutputs
from wasmoci.handlers._wasmtime.outputs import on_own_thread
from wasmoci.handlers._wasmtime.prototypes import NO_FINALIZER
from wasmoci.handlers._wasmtime.run_state import Run
from wasmoci.handlers._wasmtime.traps import outcome_of
from wasmoci.handlers._wasmtime.wasi_config import configure, with_arguments
from wasmoci.wasm.module import FuncType, ModuleKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers._wasmtime.engines import Engine
    from wasmoci.handlers._wasmtime.library import Failure
    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.wasm.module import Module


def execute(workload: Workload, engine: Engine) -> Outcome:
    """Run a guest to its end.

    Args:
        workload: The guest and what it gets.
        engine: An engine for its limits.

    Raises:
        WasmociError: It could not be started.
        BaseException: What a function raised that takes its output.
    """
    run = Run()
    if engine.needs.stoppable and workload.limits.time is None and workload.limits.memory is None:
        run.signals = DeferredSignals(engine.engine)

    def stop() -> None:
        _stop(run, engine)

    if engine.needs.stoppable and run.signals is None:
        fresh = threading.current_thread() is threading.main_thread()
        return off_main_thread(
            lambda: on_own_thread(lambda: _execute(workload, engine, run, stop, fresh=fresh), stop), stop=stop
        )
    return on_own_thread(lambda: _execute(workload, engine, run, stop, fresh=False), stop)


def _execute(workload: Workload, engine: Engine, run: Run, stop: Callable[[], None], *, fresh: bool) -> Outcome:
    return with_room(lambda: _run(workload, engine, run), stop, fresh=fresh)


def _run(workload: Workload, engine: Engine, run: Run) -> Outcome:
    if threading.current_thread() is not threading.main_thread():
        run.signals = None  # the main thread waits for this one, and stops the guest
    if run.signals is None:
        return _run_here(workload, engine, run)
    try:
        run.signals.begin()
        return _run_here(
            workload, engine, run
        )  # what it has made is gone when it returns: of that nothing may be interrupted either
    finally:
        run.signals.end()


def _run_here(workload: Workload, engine: Engine, run: Run) -> Outcome:
    with run, _new_store(engine) as store:
        run.belong_to(library.wasmtime_store_context(store.pointer))
        try:
            return _run_in(store, workload, engine, run)
        finally:
            run.leave()


def _run_in(store: Owned, workload: Workload, engine: Engine, run: Run) -> Outcome:
    limits, kind, context = workload.limits, workload.module.kind, run.context
    with contextlib.ExitStack() as stack:
        if engine.needs.stoppable:
            interruption.listen(store, context)
        if run.signals is not None:
            run.signals.deliver()  # what has come before the store listens, it wouldn't hear of
        if limits.fuel is not None:
            check(library.wasmtime_context_set_fuel(context, limits.fuel))
        if limits.memory is not None:
            run.memory = MemoryAccount(limits.memory, engine.engine)
            limit_tables(store, limits.memory)
        call = _call_component if kind is ModuleKind.COMPONENT else _call_core
        error = call(workload, engine, run, context, stack)
        failure = run.failure
        if failure is not None:
            try:
                raise failure
            finally:
                # Else the exception would hold this frame, and be held by it, until the garbage collector comes by: whatever a
                # signal's handler raised then would be lost.
                del failure, error
        return outcome_of(error, run, limits)


def _stop(run: Run, engine: Engine) -> None:
    run.expired = True
    library.wasmtime_engine_increment_epoch(engine.engine.pointer)


def _new_store(engine: Engine) -> Owned:
    return Owned(library.wasmtime_store_new(engine.engine.pointer, None, NO_FINALIZER), library.wasmtime_store_delete)


def _call_core(
    workload: Workload, engine: Engine, run: Run, context: int, stack: contextlib.ExitStack
) -> Failure | None:
    """Run a core module; return the error or trap that ended it."""
    module = workload.module
    host = host_for(workload)
    program = engine.program(module, host)
    if host in (Host.PYTHON, Host.DETERMINISTIC):
        stack.enter_context(python_host.host(workload, run))
        with with_arguments(workload.entrypoint) as config:
            check(library.wasmtime_context_set_wasi(context, config.give()))
    else:
        if host is Host.TAKING:
            run.host = GuestOutputs(workload.streams, run, LinkedInner(engine.inner, run)).functions()
        _set_wasi(workload, run, context, stack)
    _start(workload, engine, run, stack)
    if run.memory is None:
        instance, error = calls.instantiate(program, context)
    else:
        with run.instantiating():
            instance, error = calls.instantiate(program, context)
    if error is None:
        wasi_host.tell_directory(workload, calls.InstanceMemory(context, instance, module))
    for name in wasi_host.functions_to_call(workload):
        if error is not None:
            break
        error = calls.call(context, calls.exported_function(context, instance, name), _results(module, name))
    return error


def _call_component(
    workload: Workload, engine: Engine, run: Run, context: int, stack: contextlib.ExitStack
) -> Failure | None:
    """Run a component; return the error or trap that ended it."""
    module = workload.module
    compiled, linker = engine.component(module)
    _set_wasi(workload, run, context, stack)
    _start(workload, engine, run, stack)
    with run.instantiating():
        instance = components.instantiate(context, linker, compiled, module)
    if isinstance(instance, Exception):
        return instance
    function = components.find_function(context, instance, module, workload.entrypoint.function)
    return components.call(context, function, run)


def _set_wasi(workload: Workload, run: Run, context: int, stack: contextlib.ExitStack) -> None:
    """Configure a store with wasmtime's own WASI."""
    with configure(workload, run) as config:
        end = stdin.attach(config, workload.streams)
        if end is not None:
            stack.callback(end)
        check(library.wasmtime_context_set_wasi(context, config.give()))


def _start(workload: Workload, engine: Engine, run: Run, stack: contextlib.ExitStack) -> None:
    workload.started()
    limit = workload.limits.time
    if limit is not None:
        stack.enter_context(interruption.time_limit(limit, run, engine.engine))


def _results(module: Module, function: str) -> int:
    export = module.export(function)
    return len(export.type.results) if export is not None and isinstance(export.type, FuncType) else 0
