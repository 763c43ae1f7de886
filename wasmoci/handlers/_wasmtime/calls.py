"""Calling the guest, and being called by it.

A host function answers with a trap of its own, and a call gives back wasmtime's error as it is: what a host function raises
belongs to the run, and many run at once.
"""

from __future__ import annotations

import ctypes
import struct

from wasmoci.handlers._wasmtime.library import Error, Failure, Owned, check, failure_of, library
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
)
from wasmoci.handlers._wasmtime.run import current_run
from wasmoci.handlers._wasmtime.traps import summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wasmoci.wasi.signatures import Signature

_VALUE = 16  # bytes of a wasmtime_val_raw_t
_RESULT = struct.Struct("<I")


class Trapped(Exception):
    """Raised in a host function to end the guest.

    Args:
        trap: The trap's address, to be passed on to the engine, which frees it.
    """

    def __init__(self, trap: int) -> None:
        super().__init__()
        self.trap = trap

    @classmethod
    def because(cls, message: str) -> Trapped:
        """With a new trap."""
        text = message.encode()
        return cls(library.wasmtime_trap_new(text, len(text)))


def new_error(message: str) -> int:
    """An error that another call-back returns to the engine, which frees it, as an address."""
    error: int = library.wasmtime_error_new(message.encode())
    return error


def host_function(signature: Signature, function: Callable[..., int | None]) -> Any:
    """Make a host function.

    Args:
        signature: Its type; at most one result.
        function: Called with the caller (a ``wasmtime_caller_t``) and the parameters, unsigned. It gives the result. What
            it raises ends the guest; but for :class:`Trapped` it is the run's failure.
    """
    layout = struct.Struct("<" + "".join("Q8x" if kind == "i64" else "I12x" for kind in signature.params))

    @wasmtime_func_unchecked_callback_t  # type: ignore[untyped-decorator]
    def called(_data: int | None, caller: int, values: int, _count: int) -> int:
        try:
            result = function(caller, *layout.unpack(ctypes.string_at(values, layout.size)))
            if signature.results:
                ctypes.memmove(values, _RESULT.pack((result or 0) & 0xFFFFFFFF), _RESULT.size)
        except Trapped as trapped:
            return trapped.trap
        except BaseException as error:  # noqa: BLE001  nothing may pass through the engine
            current_run().fail(error)
            return Trapped.because("a host function failed").trap
        return 0

    return called


def define(linker: Owned, module: str, name: str, signature: Signature, function: Any) -> None:
    """Define a host function for all the stores of a linker's engine, in the place of one that is there.

    Args:
        linker: The linker, which allows shadowing.
        module: The import's first name.
        name: The import's second name.
        signature: Its type.
        function: What :func:`host_function` made; the caller keeps it alive as long as the linker.
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
    """A function that an instance exports."""
    function: wasmtime_func_t = _exported(context, instance, name).func
    return function


def exported_memory(context: int, instance: wasmtime_instance_t, name: str) -> memoryview:
    """A memory that an instance exports; see :func:`memory_view`."""
    return _view(context, _exported(context, instance, name).memory)


def _exported(context: int, instance: wasmtime_instance_t, name: str) -> Any:
    text, item = name.encode(), wasmtime_extern_t()
    library.wasmtime_instance_export_get(context, ctypes.byref(instance), text, len(text), ctypes.byref(item))
    return item.of


def call(context: int, function: wasmtime_func_t, results: int) -> Failure | None:
    """Call a function without parameters, and drop its results.

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
        if trap.value:
            raise Trapped(trap.value)
        if error:  # what the guest would have got from a call of its own
            raise Trapped.because(summary(Error(error)))
        result: int = _RESULT.unpack_from(values)[0]
        return result


def context_of(caller: int) -> int:
    """The context of the store of a host function's caller."""
    context: int = library.wasmtime_caller_context(caller)
    return context


def memory_of(caller: int, *, required: bool = False) -> memoryview:
    """The memory that the caller of a host function exports, as writable bytes.

    Args:
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
            raise Trapped.because("missing required memory export")
        return memoryview(bytearray())
    return _view(context_of(caller), item.of.memory)


def _view(context: int, memory: wasmtime_memory_t) -> memoryview:
    """A memory as writable bytes, until it grows."""
    size = library.wasmtime_memory_data_size(context, ctypes.byref(memory))
    if not size:
        return memoryview(bytearray())
    address = library.wasmtime_memory_data(context, ctypes.byref(memory))
    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")
