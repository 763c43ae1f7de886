"""One guest on wasm3: links the WASI host, calls the functions, reads how it ended."""

from __future__ import annotations

import ctypes
import struct

from wasmoci.binary.bound import REFUSED_EXPORT
from wasmoci.handlers import _host
from wasmoci.handlers._wasm3.library import ImportContext, RawCall, Runtime, Wasm3Error
from wasmoci.handlers._wasm3.names import PREFIX
from wasmoci.wasi import ProcExit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.wasi import Function, Wasi

_HOST_FAILED = ctypes.create_string_buffer(b"[trap] a host function raised")
_HOST_FAILED_ADDRESS = ctypes.addressof(_HOST_FAILED)
_WRITABLE = 0x200  # PyBUF_WRITE
_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype, _view.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_SLOTS = {"i32": "i4x", "i64": "q"}  # a value on wasm3's stack takes 8 bytes


class Abandoned(BaseException):
    """Nobody waits for the guest any more."""


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
        self._abandoned = False
        self._raised: BaseException | None = None

    def abandon(self) -> None:
        """Have the guest end at its next call of the host."""
        self._abandoned = True

    def run(self, stack: int) -> Outcome:
        """Run the guest on the calling thread.

        Args:
            stack: Bytes of stack for the guest's locals.
        """
        runtime = Runtime(self._data, stack=stack)
        try:
            runtime.load()
            raw_call = self._link(runtime)
            try:
                self._workload.started()
                runtime.start()
                for function in _host.functions_to_call(self._workload):
                    runtime.call(PREFIX + function)
            except Wasm3Error as error:
                return self._ended(runtime, error)
            del raw_call  # it had to live until here
            return _host.exited(0, refused=_refused(runtime), limits=self._workload.limits)
        finally:
            self._wasi.bind(_host.NO_MEMORY)
            runtime.close()

    def _ended(self, runtime: Runtime, error: Wasm3Error) -> Outcome:
        limits = self._workload.limits
        if error.address != _HOST_FAILED_ADDRESS or self._raised is None:
            return _host.trapped(error.message, runtime.backtrace(), refused=_refused(runtime), limits=limits)
        if isinstance(self._raised, ProcExit):
            return _host.exited(self._raised.code, refused=_refused(runtime), limits=limits)
        raise self._raised

    def _link(self, runtime: Runtime) -> object:
        imports = _host.imported_functions(self._workload.module)
        functions = self._wasi.functions()
        table = [_entry(functions[item.name]) for item in imports]
        memory = _Memory(runtime)
        self._wasi.bind(memory)

        def call(_runtime: int, context: int, stack: int, address: int) -> int | None:
            try:
                if self._abandoned:
                    raise Abandoned  # noqa: TRY301  as what a host function raises
                function, arguments, offset = table[ImportContext.from_address(context).userdata or 0]
                memory.address = address
                errno = function.call(*arguments.unpack(ctypes.string_at(stack + offset, arguments.size)))
                if offset:
                    ctypes.c_uint32.from_address(stack).value = errno or 0
            except BaseException as error:  # noqa: BLE001  nothing may pass through C; it is raised behind the call
                self._raised = error
                return _HOST_FAILED_ADDRESS
            return None

        raw_call = RawCall(call)
        for number, item in enumerate(imports):
            runtime.link(item.module, item.name, raw_call, number)
        return raw_call


class _Memory:
    """The guest's memory; wasm3 says at each call of the host where it is."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known = (0, 0)
        self._kept = memoryview(b"")
        self.address = 0

    def view(self) -> memoryview:
        """The whole of it."""
        place = (self.address, self._runtime.memory_size())
        if place != self._known:
            self._kept = _view(*place, _WRITABLE) if place[1] else memoryview(b"")
            self._known = place
        return self._kept


def _entry(function: Function) -> tuple[Function, struct.Struct, int]:
    """A host function, its parameters on the stack, and where they are: behind the results."""
    parameters = struct.Struct("<" + "".join(_SLOTS[kind] for kind in function.params))
    return function, parameters, 8 * len(function.results)


def _refused(runtime: Runtime) -> int:
    return runtime.read_global(REFUSED_EXPORT) or 0
