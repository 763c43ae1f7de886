"""Links the WASI host in Python (:mod:`wasmoci.wasi`), where wasmtime's own can't serve a guest (:mod:`.linking`).

What it does to files takes a fifth of the time of wasmtime's own, which has another thread do it.
"""

from __future__ import annotations

import contextlib
import functools

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasmtime import calls
from wasmoci.handlers._wasmtime.inner_module import WASI
from wasmoci.handlers._wasmtime.library import check, library
from wasmoci.handlers._wasmtime.linking import Host
from wasmoci.handlers._wasmtime.outputs import guarded
from wasmoci.handlers.wasi_host import open_wasi
from wasmoci.wasi import FUNCTIONS, MODULES, ProcExit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.run_state import Run
    from wasmoci.handlers.base import Workload


# They know nothing of descriptors, so wasmtime's own do, which are a hundred times as fast.
_CONSTANT = frozenset({"args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "sched_yield"})
_NATIVE = {
    Host.PYTHON: _CONSTANT | {"clock_res_get", "clock_time_get", "random_get"},
    Host.DETERMINISTIC: _CONSTANT,
}


def define(linker: Owned, host: Host) -> None:
    """Define all functions in a linker, for the host of the run that is current."""
    check(library.wasmtime_linker_define_wasi(linker.pointer))
    for module in MODULES:
        for name, signature in FUNCTIONS.items():
            if module != WASI or name not in _NATIVE[host]:
                calls.define(linker, module, name, signature, _functions()[name])


@contextlib.contextmanager
def host(workload: Workload, run: Run) -> Iterator[None]:
    """Provide a run with its WASI host, for the duration of the context."""
    with open_wasi(attrs.evolve(workload, streams=guarded(workload.streams, run))) as wasi:
        memory = _CallersMemory(run)
        wasi.bind(memory)
        run.host = {name: function.call for name, function in wasi.functions().items()}
        run.host_memory = memory
        yield


class _CallersMemory:
    """The memory of the guest that calls the host."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.caller = 0

    def view(self) -> memoryview:
        return calls.memory_of(self._run, self.caller)


def _call(name: str, run: Run, caller: int, *arguments: int) -> int | None:
    run.host_memory.caller = caller
    try:
        return run.host[name](*arguments)
    except ProcExit as ended:
        raise calls.Exited(ended.code) from None


@functools.cache
def _functions() -> dict[str, Any]:
    return calls.host_functions(
        {name: (signature, functools.partial(_call, name)) for name, signature in FUNCTIONS.items()}
    )
