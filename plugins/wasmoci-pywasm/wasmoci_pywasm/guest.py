"""Runs one guest on pywasm: links the WASI host, calls the functions, and determines how it ended."""

from __future__ import annotations

import importlib
import itertools
from typing import TYPE_CHECKING, Any

from wasmoci.handlers import wasi_host
from wasmoci.wasi import ProcExit
from wasmoci.wasm.rewrite import REFUSED_EXPORT
from wasmoci_pywasm.names import function_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.wasi import Function, Wasi

pywasm: Any = importlib.import_module("pywasm")  # without types

_MOST_FRAMES = 1024  # nested calls that pywasm permits
_SHOWN_FRAMES = 64
_OPERATIONS = {
    "unreachable": "unreachable was executed",
    "call_indirect": "an indirect call without a function, or of a function of another type",
    "div": "integer division by zero or overflow",
    "rem": "integer division by zero",
    "trunc": "a float that can't be converted to an integer",
    "load": "out of bounds memory access",
    "store": "out of bounds memory access",
    "memory": "out of bounds memory access",
    "table": "out of bounds table access",
}


class HostError(Exception):
    """An exception of a host function; carries it through pywasm, so that it isn't mistaken for a trap.

    Args:
        error: The exception.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class Guest:
    """A guest, from pywasm's description of its module to its outcome.

    Args:
        workload: The workload.
        description: Its module, a ``pywasm.ModuleDesc``.
        wasi: Its WASI host.
    """

    def __init__(self, workload: Workload, description: Any, wasi: Wasi) -> None:
        self._workload = workload
        self._description = description
        self._wasi = wasi
        self._runtime = pywasm.Runtime()
        self._instance: Any = None

    def run(self) -> Outcome:
        """Run the guest on the calling thread."""
        limits = self._workload.limits
        self._link()
        self._wasi.bind(_Memory(self._runtime.machine))
        try:
            self._workload.started()
            self._instance = self._runtime.instance(self._description)  # runs the start function
            for function in wasi_host.functions_to_call(self._workload):
                self._runtime.invocate(self._instance, function, [])
        except HostError as failure:
            if isinstance(failure.error, ProcExit):
                return wasi_host.exited(failure.error.code, refused=self._refused(), limits=limits)
            raise failure.error from None
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  pywasm traps by whatever exception comes up
            return wasi_host.trapped(self._message(error), self._backtrace(), refused=self._refused(), limits=limits)
        finally:
            self._wasi.bind(wasi_host.NO_MEMORY)
        return wasi_host.exited(0, refused=self._refused(), limits=limits)

    def _link(self) -> None:
        functions = self._wasi.functions()
        for item in wasi_host.imported_functions(self._workload.module):
            function = functions[item.name]
            kind = pywasm.FuncType(_types(function.params), _types(function.results))
            extern = self._runtime.allocate_func_host(kind, _callable(function))
            self._runtime.imports.setdefault(item.module, {})[item.name] = extern

    def _refused(self) -> int:
        if self._instance is None or all(export.name != REFUSED_EXPORT for export in self._instance.exps):
            return 0
        count: int = self._runtime.exported_global(self._instance, REFUSED_EXPORT).data.into_i32()
        return count

    def _backtrace(self) -> tuple[str, ...]:
        """Return the functions that were running, innermost first, by name or by number."""
        machine = self._runtime.machine
        if not machine.stack.frame:
            return ()
        numbers = {
            id(function.code.expr.data): number
            for number, address in enumerate(machine.stack.frame[-1].module.func)
            if hasattr(function := machine.store.func[address], "code")
        }
        names = function_names(self._workload.module.data)
        running = (numbers.get(id(label.instr)) for label in reversed(machine.stack.label))
        found = itertools.islice((number for number in running if number is not None), _SHOWN_FRAMES)
        return tuple(names.get(number, f"function {number}") for number in found)

    def _message(self, error: Exception) -> str:
        """Describe a failure by the instruction that pywasm was executing, as its exceptions have no message."""
        stack = self._runtime.machine.stack
        if not stack.label or not stack.label[-1].index:
            return "the module could not be instantiated"
        label = stack.label[-1]
        name: str = pywasm.opcode.name[label.instr[label.index - 1].opcode]
        if name in ("call", "call_indirect") and len(stack.frame) >= _MOST_FRAMES:
            return f"call stack exhausted: pywasm allows {_MOST_FRAMES} nested calls"
        known = next((text for part, text in _OPERATIONS.items() if part in name), None)
        return f"{known} ({name})" if known else f"{name} failed: {type(error).__name__} {error}".rstrip()


class _Memory:
    def __init__(self, machine: Any) -> None:
        self._memories = machine.store.mems

    def view(self) -> memoryview:
        return memoryview(self._memories[0].data if self._memories else b"")


def _types(names: tuple[str, ...]) -> list[Any]:
    return [pywasm.ValType.i32() if name == "i32" else pywasm.ValType.i64() for name in names]


def _callable(function: Function) -> Callable[[Any, list[int]], list[int]]:
    def call(_machine: Any, arguments: list[int]) -> list[int]:
        try:
            errno = function.call(*arguments)
        except BaseException as error:  # noqa: BLE001  it is raised again, behind the interpreter
            raise HostError(error) from None
        return [] if errno is None else [errno]

    return call
