"""Calls functions of the guest, and defines host functions that the guest calls.

A host function answers, or it ends the guest: see :mod:`wasmoci.handlers._callback_entries`. What it raises belongs to the run, and many run at
once; a call gives back wasmtime's error as it is.
"""

from __future__ import annotations

import ctypes
import struct

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._callback_entries import Entry, Marked, addresses
from wasmoci.handlers._wasmtime.library import Owned, check, failure_of, library
from wasmoci.handlers._wasmtime.prototypes import (
    NO_FINALIZER,
    WASM_TYPES,
    WASMTIME_EXTERN_MEMORY,
    wasm_valtype_vec_t,
    wasmtime_extern_t,
    wasmtime_func_t,
    wasmtime_func_unchecked_callback_t,
    wasmtime_instance_t,
    wasmtime_memory_t,
    wasmtime_val_t,
    without_result,
)
from wasmoci.handlers._wasmtime.run_state import runs
from wasmoci.handlers._wasmtime.traps import HOST_FAILED, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from wasmoci.handlers._wasmtime.library import Failure
    from wasmoci.handlers._wasmtime.run_state import Run
    from wasmoci.wasi import Signature
    from wasmoci.wasm.module import Module

_VALUE = 16  # bytes of a wasmtime_val_raw_t
_RESULT = struct.Struct("<I")
# A result takes 4 or 8 of the bytes of its value, and the mark comes behind them.
_MARK_AT, _MARK = 8, 0x6B6F_2121
_ANSWER = struct.Struct("<I4xI")
_NO_ANSWER = bytes(_ANSWER.size)
_MESSAGE = ctypes.create_string_buffer(HOST_FAILED.encode())


class Trapped(Exception):
    """Raised in a host function to end the guest; its argument is the message of the trap."""


class Exited(Exception):
    """Raised in a host function when the guest exits; its argument is the code."""


def host_functions(functions: Mapping[str, tuple[Signature, Callable[..., int | None]]]) -> dict[str, Any]:
    """Create host functions, which live as long as the process.

    Args:
        functions: By name, the type of each, which has one result at most, and what is called: with the run, the caller (a
            ``wasmtime_caller_t``) and the parameters, unsigned. It gives the result. What it raises ends the guest; but for
            :class:`Trapped` and :class:`Exited` it is the run's failure.

    Returns:
        What :func:`define` takes, by name.
    """
    inner = [_called(signature, function) for signature, function in functions.values()]
    _kept.extend(inner)
    trap = ctypes.cast(library.wasmtime_trap_new, ctypes.c_void_p).value or 0
    message = ctypes.addressof(_MESSAGE)
    made = addresses(
        [Entry(one, Marked.THIRD, _MARK_AT, _MARK, trap, message, len(HOST_FAILED.encode())) for one in inner]
    )
    return {name: wasmtime_func_unchecked_callback_t(address) for name, address in zip(functions, made, strict=True)}


_kept: list[Any] = []
_function_t = without_result(wasmtime_func_unchecked_callback_t)


def _called(signature: Signature, function: Callable[..., int | None]) -> Any:
    layout = struct.Struct("<" + "".join("Q8x" if kind == "i64" else "I12x" for kind in signature.params))
    size = layout.size
    context_of = library.wasmtime_caller_context

    @_function_t  # type: ignore[untyped-decorator]
    def called(_data: int | None, caller: int, values: int, _count: int) -> None:
        run = None
        try:
            run = runs[context_of(caller)]
            if run.failure is not None:
                return
            signals = run.signals
            if signals is None:
                result = function(run, caller, *layout.unpack(ctypes.string_at(values, size)))
            else:
                signals.open()
                try:
                    result = function(run, caller, *layout.unpack(ctypes.string_at(values, size)))
                finally:
                    signals.shut()
            ctypes.memmove(values, _ANSWER.pack((result or 0) & 0xFFFFFFFF, _MARK), 12)
        except BaseException as error:  # noqa: BLE001  nothing may pass through the engine
            # It may have come behind the answer, from a signal's handler.
            ctypes.memmove(values, _NO_ANSWER, 12)
            if run is not None:
                if isinstance(error, Exited):
                    run.exit_code = error.args[0]
                elif isinstance(error, Trapped):
                    run.reason = error.args[0]
                else:
                    run.fail(error)

    return called


def define(linker: Owned, module: str, name: str, signature: Signature, function: Any) -> None:
    """Define a host function for all stores of a linker's engine, replacing an existing one.

    Args:
        linker: The linker, which allows shadowing.
        module: The import's first name.
        name: The import's second name.
        signature: Its type.
        function: What :func:`host_functions` made.
    """
    params, results = _types(signature.params), _types(signature.results)
    first, second = module.encode(), name.encode()
    # The type takes the vectors' contents.
    with Owned(
        library.wasm_functype_new(ctypes.byref(params), ctypes.byref(results)), library.wasm_functype_delete
    ) as kind:
        check(
            library.wasmtime_linker_define_func_unchecked(
                linker.pointer, first, len(first), second, len(second), kind.pointer, function, None, NO_FINALIZER
            )
        )


def _types(names: Sequence[str]) -> wasm_valtype_vec_t:
    types = (ctypes.c_void_p * len(names))(*(library.wasm_valtype_new(WASM_TYPES[name]) for name in names))
    vector = wasm_valtype_vec_t()
    library.wasm_valtype_vec_new(ctypes.byref(vector), len(names), types)
    return vector


def instantiate(program: Owned, context: int) -> tuple[wasmtime_instance_t, Failure | None]:
    """Instantiate a module, which runs its start function.

    Args:
        program: The module and what it imports, a ``wasmtime_instance_pre_t``.
        context: A store's context.

    Returns:
        The instance, and the error or trap that prevented it.
    """
    instance, trap = wasmtime_instance_t(), ctypes.c_void_p()
    error = library.wasmtime_instance_pre_instantiate(
        program.pointer, context, ctypes.byref(instance), ctypes.byref(trap)
    )
    return instance, failure_of(error, trap)


def exported_function(context: int, instance: wasmtime_instance_t, name: str) -> wasmtime_func_t:
    """Return a function that an instance exports."""
    function: wasmtime_func_t = _exported(context, instance, name).func
    return function


def exported_memory(context: int, instance: wasmtime_instance_t, name: str) -> memoryview:
    """Return a memory that an instance exports; see :func:`memory_view`."""
    return _view(context, _exported(context, instance, name).memory)


def _exported(context: int, instance: wasmtime_instance_t, name: str) -> Any:
    text, item = name.encode(), wasmtime_extern_t()
    library.wasmtime_instance_export_get(context, ctypes.byref(instance), text, len(text), ctypes.byref(item))
    return item.of


class InstanceMemory:
    """The first memory that an instance exports.

    Args:
        context: A store's context.
        instance: The instance.
        module: What it is an instance of.
    """

    def __init__(self, context: int, instance: wasmtime_instance_t, module: Module) -> None:
        self._context = context
        self._instance = instance
        self._name = next((export.name for export in module.exports if export.kind == "memory"), None)

    def view(self) -> memoryview:
        """The whole of it; empty where there is none."""
        return memoryview(b"") if self._name is None else exported_memory(self._context, self._instance, self._name)


def call(context: int, function: wasmtime_func_t, results: int) -> Failure | None:
    """Call a function without parameters, and discard its results.

    Args:
        context: A store's context.
        function: The function.
        results: How many results it has.

    Returns:
        The error or trap that ended it.
    """
    values = (wasmtime_val_t * results)() if results else None
    trap = ctypes.c_void_p()
    error = library.wasmtime_func_call(context, ctypes.byref(function), None, 0, values, results, ctypes.byref(trap))
    ended = failure_of(error, trap)
    if ended is None:
        for value in values or ():
            library.wasmtime_val_unroot(ctypes.byref(value))
    return ended


class InnerFunction:
    """A Wasm function with integers for parameters and one i32 for a result, called from within a host function.

    Args:
        function: The function.
        signature: Its type.
    """

    def __init__(self, function: wasmtime_func_t, signature: Signature) -> None:
        self._function = function
        self._layout = struct.Struct("<" + "Q8x" * len(signature.params))

    def __call__(self, context: int, arguments: Sequence[int]) -> int:
        """Call it.

        Args:
            context: The store's context.
            arguments: Unsigned.

        Raises:
            Trapped: It trapped.
        """
        values = ctypes.create_string_buffer(self._layout.pack(*arguments), max(self._layout.size, _VALUE))
        trap = ctypes.c_void_p()
        error = library.wasmtime_func_call_unchecked(
            context, ctypes.byref(self._function), values, len(values) // _VALUE, ctypes.byref(trap)
        )
        failure = failure_of(error, trap)
        if failure is not None:  # what the guest would have got from a call of its own
            raise Trapped(summary(failure))
        result: int = _RESULT.unpack_from(values)[0]
        return result


def memory_of(run: Run, caller: int, *, required: bool = False) -> memoryview:
    """Return the memory that the caller of a host function exports, as writable bytes.

    Args:
        run: Whose function it is.
        caller: A ``wasmtime_caller_t``.
        required: Whether a caller that exports none is to trap, as it does in wasmtime's own functions; else it is empty.

    Raises:
        Trapped: It exports none.
    """
    item = wasmtime_extern_t()
    found = library.wasmtime_caller_export_get(caller, b"memory", 6, ctypes.byref(item))
    kind: Any = item.kind
    if not found or kind != WASMTIME_EXTERN_MEMORY:
        if required:
            raise Trapped("missing required memory export")
        return memoryview(bytearray())
    return _view(run.context, item.of.memory)


def _view(context: int, memory: wasmtime_memory_t) -> memoryview:
    """A memory as writable bytes, until it grows."""
    size = library.wasmtime_memory_data_size(context, ctypes.byref(memory))
    if not size:
        return memoryview(bytearray())
    address = library.wasmtime_memory_data(context, ctypes.byref(memory))
    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")
