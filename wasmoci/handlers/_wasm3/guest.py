"""Runs one guest on wasm3: links the WASI host, calls the functions, and determines how it ended."""

from __future__ import annotations

import ctypes

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers import _interpreter, wasi_host
from wasmoci.handlers._wasm3.calls import ENTRY, HOST_FAILED, Calls
from wasmoci.handlers._wasm3.library import Runtime, Wasm3Error
from wasmoci.handlers._wasm3.names import PREFIX
from wasmoci.wasi import ProcExit
from wasmoci.wasm.memory_bound import REFUSED_EXPORT

if TYPE_CHECKING:
    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.wasi import Wasi

_OUT_OF_BOUNDS = "segment out of bounds"  # what wasm3 says when a module's data don't fit into its memory
_WRITABLE = 0x200  # PyBUF_WRITE
_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype, _view.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)


class Guest:
    """A workload, from the module's bytes to its outcome.

    Args:
        workload: The workload.
        data: Its module, as wasm3 can read it.
        wasi: Its host.
    """

    def __init__(self, workload: Workload, data: bytes, wasi: Wasi) -> None:
        self._workload = workload
        self._data = data
        self._wasi = wasi
        self._imports = wasi_host.imported_functions(workload.module)
        functions = wasi.functions()
        self._calls = Calls([functions[item.name] for item in self._imports])

    def abandon(self) -> None:
        """Make the guest end at its next call of the host."""
        self._calls.abandoned = True

    def run(self, stack: int) -> Outcome:
        """Run the guest on the calling thread.

        Args:
            stack: Bytes of stack for the guest's locals.

        Raises:
            EngineError: Its calls would come to another interpreter, or one failed before it began.
        """
        _interpreter.require_reached("wasm3")
        runtime = Runtime(self._data, stack=stack)
        try:
            try:
                runtime.load()
            except Wasm3Error as error:
                if _OUT_OF_BOUNDS not in error.message:
                    raise
                return wasi_host.trapped(error.message, (), refused=0, limits=self._workload.limits)
            with self._calls as calls:
                self._wasi.bind(_Memory(runtime, calls))
                for index, item in enumerate(self._imports):
                    runtime.link(item.module, item.name, ENTRY, calls.number(index))
                try:
                    self._workload.started()
                    runtime.start()
                    for function in wasi_host.functions_to_call(self._workload):
                        runtime.call(PREFIX + function)
                except Wasm3Error as error:
                    return self._ended(runtime, error)
                if calls.raised is not None:
                    raise calls.raised
                return wasi_host.exited(0, refused=_refused(runtime), limits=self._workload.limits)
        finally:
            self._wasi.bind(wasi_host.NO_MEMORY)
            runtime.close()

    def _ended(self, runtime: Runtime, error: Wasm3Error) -> Outcome:
        limits, raised = self._workload.limits, self._calls.raised
        if isinstance(raised, ProcExit):
            return wasi_host.exited(raised.code, refused=_refused(runtime), limits=limits)
        if raised is not None:
            raise raised
        if error.address == HOST_FAILED:
            raise wasi_host.unanswered()
        return wasi_host.trapped(error.message, runtime.backtrace(), refused=_refused(runtime), limits=limits)


class _Memory:
    """The guest's memory, whose address wasm3 passes to each host function."""

    def __init__(self, runtime: Runtime, calls: Calls) -> None:
        self._runtime = runtime
        self._calls = calls
        self._known = (0, 0)
        self._kept = memoryview(b"")

    def view(self) -> memoryview:
        """The whole of it."""
        place = (self._calls.address, self._runtime.memory_size())
        if place != self._known:
            self._kept = _view(*place, _WRITABLE) if place[1] else memoryview(b"")
            self._known = place
        return self._kept


def _refused(runtime: Runtime) -> int:
    return runtime.read_global(REFUSED_EXPORT) or 0
