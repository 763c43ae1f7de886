"""What the handlers share that give their guests :mod:`wasmoci.wasi`: the host of a workload, and how a run is judged."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import attrs

from wasmoci.binary.rewrite import PAGE
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers.base import Outcome
from wasmoci.module import FuncType
from wasmoci.wasi import FUNCTIONS, MODULES, Wasi

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from wasmoci.handlers.base import Workload
    from wasmoci.limits import Limits
    from wasmoci.module import Import, Module
    from wasmoci.stdio import Sink
    from wasmoci.wasi import Clocks, Stream

_CACHE_SIZE = 128 << 20  # bytes of modules


def provides(module: str, name: str) -> bool:
    """Whether the WASI host has the function ``module.name``."""
    return module in MODULES and name in FUNCTIONS


def check_signatures(module: Module) -> None:
    """Refuse a module that imports a function of WASI with another type than it has, or as something else.

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


def open_wasi(workload: Workload, *, clocks: Clocks | None = None) -> Wasi:
    """The WASI host of a workload, to be closed by the caller.

    Args:
        workload: Its arguments, environment, files and streams are the guest's.
        clocks: The guest's time; the host's when not given.

    Raises:
        InvalidInput: The guest can't have them; see :class:`wasmoci.wasi.Wasi`.
    """
    streams = workload.streams
    return Wasi(
        args=workload.entrypoint.argv,
        env=workload.entrypoint.env,
        preopens=workload.files.tree.preopens(workload.files.cwd),
        stdin=streams.stdin,
        stdout=_output(streams.stdout),
        stderr=_output(streams.stderr),
        clocks=clocks,
    )


def functions_to_call(workload: Workload) -> tuple[str, ...]:
    """The exports to call, in order: a reactor's ``_initialize`` comes before the function of it that is wanted."""
    function = workload.entrypoint.function or "_start"
    initialize = workload.module.export("_initialize")
    if function in ("_start", "_initialize") or initialize is None or initialize.kind != "func":
        return (function,)
    return ("_initialize", function)


def imported_functions(module: Module) -> tuple[Import, ...]:
    """The functions that a module imports, in the order of their indices."""
    return tuple(item for item in module.imports if item.kind == "func")


def max_pages(limits: Limits) -> int | None:
    """The limit of memory in pages of 64 KiB; None for no limit."""
    return None if limits.memory is None else limits.memory // PAGE


def exited(code: int, *, refused: int, limits: Limits) -> Outcome:
    """The outcome of a guest that returned or asked to exit, after so many refusals of memory by its limit."""
    note = f"it was refused memory {refused} times by its limit of {limits.memory} bytes" if refused else ""
    return Outcome.exited(code, note)


def trapped(message: str, backtrace: tuple[str, ...], *, refused: int, limits: Limits) -> Outcome:
    """The outcome of a guest that trapped, after so many refusals of memory by its limit."""
    if refused:
        return Outcome.out_of_memory(limits.memory, backtrace, message)
    return Outcome.trapped(message, backtrace)


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


def _output(sink: Sink) -> int | Stream:
    return _Output(sink) if sink.descriptor is None else sink.descriptor


@attrs.define
class ModuleCache:
    """Modules as they were prepared for an engine; the ones that were not used for longest are dropped.

    Safe to use from several threads. Two of them may prepare the same module at once.
    """

    size: int = _CACHE_SIZE
    _kept: OrderedDict[Hashable, bytes] = attrs.field(factory=OrderedDict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable, prepare: Callable[[], bytes]) -> bytes:
        """The module that is kept under a key, or else a new one."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = prepare()
        with self._lock:
            self._kept[key] = data
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self.size:
                self._kept.popitem(last=False)
        return data
