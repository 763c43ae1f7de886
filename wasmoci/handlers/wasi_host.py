"""Provides what handlers that use :mod:`wasmoci.wasi` share: a workload's host, and the outcome of a run."""

from __future__ import annotations

import functools
import importlib
import os
from pathlib import Path

from wasmoci import wasi, wasm  # which loads what of it is used: an engine may have a WASI of its own
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.compiled import identity
from wasmoci.errors import EngineError, EngineUnavailable, UnsupportedModule
from wasmoci.handlers.base import Outcome
from wasmoci.host.file_cache import Cache
from wasmoci.stdio import Sink
from wasmoci.wasi.signatures import FUNCTIONS, MODULES
from wasmoci.wasm.module import FuncType

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.determinism import Determinism
    from wasmoci.handlers.base import Workload
    from wasmoci.limits import Limits
    from wasmoci.wasi import Stream, VirtualClocks, Wasi
    from wasmoci.wasm.module import Import, Module

_PAGE = 65536  # bytes
_KEPT_MODULES = 32
_KEPT_BYTES = 128 << 20  # of modules as they came


def provides(module: str, name: str) -> bool:
    """Return whether the WASI host has the function ``module.name``."""
    return module in MODULES and name in FUNCTIONS


def check_signatures(module: Module) -> None:
    """Refuse a module that imports a function of WASI with a wrong type or kind.

    Raises:
        UnsupportedModule: It does; the message names the import.
    """
    for item in module.imports:
        if item.module in MODULES and item.name in FUNCTIONS:
            signature = FUNCTIONS[item.name]
            expected = FuncType(tuple(signature.params), tuple(signature.results))
            if item.type != expected:
                found = item.type if item.kind == "func" else item.kind
                raise UnsupportedModule(f"{module.source}: imports {item} as {found}; WASI has it as {expected}")


def check_memories(module: Module) -> None:
    """Refuse a module with a shared memory; atomic instructions work on any other as well.

    Raises:
        UnsupportedModule: It has one.
    """
    if any(memory.shared for memory in module.memories):
        raise UnsupportedModule(f"{module.source}: has a memory for several threads to share; a guest has one thread")


def open_wasi(workload: Workload) -> Wasi:
    """Return the WASI host of a workload; the caller has to close it.

    Args:
        workload: Its arguments, environment, files, streams and determinism are the guest's.

    Raises:
        InvalidInput: The guest can't have them; see :class:`wasmoci.wasi.Wasi`.
    """
    streams, determinism = workload.streams, workload.determinism
    return wasi.Wasi(
        args=workload.entrypoint.argv,
        env=workload.entrypoint.env,
        preopens=workload.files.tree.preopens(workload.files.cwd),
        stdin=streams.stdin,
        stdout=_output(streams.stdout),
        stderr=_output(streams.stderr),
        clocks=None if determinism is None else _clocks(determinism),
        random=os.urandom if determinism is None else _random(determinism),
    )


def _clocks(determinism: Determinism) -> VirtualClocks:
    return wasi.VirtualClocks(round(determinism.time * 1e9), round(determinism.tick * 1e9))


def _random(determinism: Determinism) -> Callable[[int], bytes]:
    from random import Random  # noqa: PLC0415  0.8 ms of each start: few runs are deterministic

    return Random(determinism.seed).randbytes  # noqa: S311  it is to be foreseen


def preload() -> None:
    """Import the WASI host, which a run otherwise does on demand."""
    with wasi.Wasi():
        importlib.import_module("wasmoci.wasi.syscalls")


def with_wasi(workload: Workload, run: Callable[[Wasi], Outcome]) -> Outcome:
    """Run a guest with the WASI host of its workload; an exception of a function that receives its output ends the run.

    Args:
        workload: See :func:`open_wasi`.
        run: Called with the host; an exception of a function of the host's has to end the guest, and to come out.

    Raises:
        InvalidInput: See :func:`open_wasi`.
        BaseException: Whatever a function raised that takes an output of the guest's.
    """
    streams = workload.streams
    streams = streams.with_outputs(_guarded(streams.stdout), _guarded(streams.stderr))
    try:
        with open_wasi(attrs.evolve(workload, streams=streams)) as host:
            return run(host)
    except _OutputError as failure:
        errors = [failure.error]
    raise errors.pop()  # here, where it gets no other context than it has


def functions_to_call(workload: Workload) -> tuple[str, ...]:
    """Return the exports to call, in order: a reactor's ``_initialize`` comes before the requested function."""
    function = workload.entrypoint.function or "_start"
    initialize = workload.module.export("_initialize")
    if function in ("_start", "_initialize") or initialize is None or initialize.kind != "func":
        return (function,)
    return ("_initialize", function)


def imported_functions(module: Module) -> tuple[Import, ...]:
    """The functions that a module imports, in the order of their indices."""
    return tuple(item for item in module.imports if item.kind == "func")


def new_cache() -> Cache:
    """Create a cache of modules that are prepared for an engine; the cost of one is its original size in bytes."""
    return Cache(_KEPT_MODULES, _KEPT_BYTES)


@functools.cache
def rewriter(package: str, file: str) -> str:
    """The version of an engine and of our code that writes modules again for it, for the compile cache.

    Args:
        package: See :func:`wasmoci.compiled.identity.version`.
        file: See there.
    """
    ours = Path(__file__).parent
    written = max(
        source.stat().st_mtime_ns
        for directory in (Path(wasm.__file__).parent, ours / "_wasm3", ours / "_wasmer")
        for source in directory.glob("*.py")
    )
    return f"{identity.version(package, file)}, {written}"


def max_pages(limits: Limits) -> int | None:
    """Return the memory limit in pages of 64 KiB; None for no limit."""
    return None if limits.memory is None else limits.memory // _PAGE


def memory_bound(pages: int | None) -> str:
    """A limit of memory as the configuration of an entry in the compile cache, which a person may read; "" for no limit."""
    return "" if pages is None else f"{pages} pages"


def exited(code: int, *, refused: int, limits: Limits) -> Outcome:
    """Return the outcome of a guest that returned or exited, given how often its limit refused memory."""
    note = f"it was refused memory {refused} times by its limit of {limits.memory} bytes" if refused else ""
    return Outcome.exited(code, note)


def trapped(message: str, backtrace: tuple[str, ...], *, refused: int, limits: Limits) -> Outcome:
    """Return the outcome of a guest that trapped, given how often its limit refused memory."""
    if refused:
        return Outcome.out_of_memory(limits.memory, backtrace, message)
    return Outcome.trapped(message, backtrace)


def unloadable(engine: str, error: ImportError) -> EngineUnavailable:
    """The error of an engine that can't be loaded for a run: not every interpreter of a process can load every extension module.

    Args:
        engine: Its name.
        error: What loading it has raised.
    """
    return EngineUnavailable(
        f"{engine} can't be loaded in this interpreter: {error}", hint="choose the isolation 'process'"
    )


def forked() -> EngineError:
    """The error of a run in a process that was forked within a call of its guest: the guest goes on in the other one."""
    return EngineError("the process was forked while the guest ran, and the guest goes on in the other one")


def unanswered() -> EngineError:
    """The error of a run that ended in a call of the host, of which nothing is known: its function never came to run, or not to its end."""
    return EngineError(
        "the guest was ended because a call of its host failed: a signal's handler raised before it began, or no recursion was left",
        hint="Python has written what it was to the standard error",
    )


class _NoMemory:
    def view(self) -> memoryview:
        return memoryview(b"")


NO_MEMORY = _NoMemory()
"""To be bound to a host when the guest's memory goes away."""


class _Output:
    """A :class:`~wasmoci.stdio.Sink` as a stream of the WASI host."""

    def __init__(self, sink: Sink) -> None:
        self.write = sink.write

    def read(self, _size: int, /) -> bytes:
        return b""


class _OutputError(Exception):
    """Wraps an exception of a function that receives output, so that it isn't mistaken for an errno or a trap."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _guarded(sink: Sink) -> Sink:
    if sink.descriptor is not None or sink.captured is not None:
        return sink

    def write(data: bytes) -> None:
        try:
            sink.write(data)
        except BaseException as error:  # noqa: BLE001  it is raised again, behind the engine
            raise _OutputError(error) from None

    return Sink(function=write)


def _output(sink: Sink) -> int | Stream:
    return _Output(sink) if sink.descriptor is None else sink.descriptor
