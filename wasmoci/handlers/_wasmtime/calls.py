"""Calling the guest, and being called by it, beneath wasmtime-py's own functions.

wasmtime-py keeps the exception of a host function in one variable for all threads, and looks there after each call: of
several runs at once one would get another's. So here a host function answers with a trap of its own, and a call gives
back wasmtime's error as it is.
"""

# ruff: noqa: SLF001  beneath wasmtime-py's own functions are those that it calls private

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

import wasmtime
from wasmtime import _ffi as ffi

from wasmoci.handlers._wasmtime.run import current_run
from wasmoci.handlers._wasmtime.traps import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wasmoci.wasi.signatures import Signature

_TYPES = {"i32": wasmtime.ValType.i32, "i64": wasmtime.ValType.i64}
NO_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(0)
_VALUE = 16  # bytes of a wasmtime_val_raw_t
_RESULT = struct.Struct("<I")


class Trapped(Exception):
    """Raised in a host function to end the guest.

    Args:
        trap: The trap's address, to be passed on to the engine.
    """

    def __init__(self, trap: int) -> None:
        super().__init__()
        self.trap = trap

    @classmethod
    def because(cls, message: str) -> Trapped:
        """With a new trap."""
        text = message.encode()
        return cls(_address(ffi.wasmtime_trap_new(ctypes.create_string_buffer(text), len(text))))


def new_error(message: str) -> int:
    """An error that another call-back returns, as an address."""
    return _address(ffi.wasmtime_error_new(message.encode()))


def host_function(signature: Signature, function: Callable[..., int | None]) -> Any:
    """Make a host function.

    Args:
        signature: Its type; at most one result.
        function: Called with the caller (a ``wasmtime_caller_t``) and the parameters, unsigned. It gives the result. What
            it raises ends the guest; but for :class:`Trapped` it is the run's failure.
    """
    layout = struct.Struct("<" + "".join("Q8x" if kind == "i64" else "I12x" for kind in signature.params))

    @ffi.wasmtime_func_unchecked_callback_t  # type: ignore[untyped-decorator]
    def called(_data: int, caller: Any, values: Any, _count: int) -> int:
        try:
            address = ctypes.cast(values, ctypes.c_void_p).value or 0
            result = function(caller, *layout.unpack(ctypes.string_at(address, layout.size)))
            if signature.results:
                ctypes.memmove(address, _RESULT.pack((result or 0) & 0xFFFFFFFF), _RESULT.size)
        except Trapped as trapped:
            return trapped.trap
        except BaseException as error:  # noqa: BLE001  nothing may pass through the engine
            current_run().fail(error)
            return Trapped.because("a host function failed").trap
        return 0

    return called


def define(linker: wasmtime.Linker, module: str, name: str, signature: Signature, function: Any) -> None:
    """Define a host function for all the stores of a linker's engine, in the place of one that is there.

    Args:
        linker: The linker, which allows shadowing.
        module: The import's first name.
        name: The import's second name.
        signature: Its type.
        function: What :func:`host_function` made; the caller keeps it alive as long as the linker.
    """
    kind = wasmtime.FuncType(
        [_TYPES[item]() for item in signature.params], [_TYPES[item]() for item in signature.results]
    )
    first, second = module.encode(), name.encode()
    error = ffi.wasmtime_linker_define_func_unchecked(
        linker.ptr(), first, len(first), second, len(second), kind.ptr(), function, None, NO_FINALIZER
    )
    if error:
        raise wasmtime.WasmtimeError._from_ptr(error)


def context_of(store: wasmtime.Store) -> Any:
    """A store's context, which the functions here take."""
    return store._context()


def context_of_caller(caller: Any) -> Any:
    """The context of the store of a host function's caller."""
    return ffi.wasmtime_caller_context(caller)


def instantiate(pre: wasmtime.InstancePre, context: Any) -> tuple[Any, Exception | None]:
    """Instantiate a module, which runs its start function.

    Returns:
        A ``wasmtime_instance_t``, and the error or trap that prevented it.
    """
    instance = ffi.wasmtime_instance_t()
    trap = ctypes.POINTER(ffi.wasm_trap_t)()
    error = ffi.wasmtime_instance_pre_instantiate(pre.ptr(), context, ctypes.byref(instance), ctypes.byref(trap))
    return instance, _exception(error, trap)


def exported(context: Any, instance: Any, name: str) -> Any:
    """The member of a ``wasmtime_extern_t``'s union for an export of an instance; None when there is no such export."""
    text = name.encode()
    item = ffi.wasmtime_extern_t()
    found = ffi.wasmtime_instance_export_get(context, ctypes.byref(instance), text, len(text), ctypes.byref(item))
    return item.of if found else None


def call(context: Any, function: Any, results: int) -> Exception | None:
    """Call a function without parameters, and drop its results.

    Args:
        context: A store's context.
        function: A ``wasmtime_func_t``.
        results: How many results it has.

    Returns:
        The error or trap that ended it.
    """
    values = (ffi.wasmtime_val_t * results)()
    trap = ctypes.POINTER(ffi.wasm_trap_t)()
    error = ffi.wasmtime_func_call(context, ctypes.byref(function), None, 0, values, results, ctypes.byref(trap))
    ended = _exception(error, trap)
    if ended is None:
        for value in values:
            ffi.wasmtime_val_unroot(ctypes.byref(value))
    return ended


class InnerFunction:
    """A Wasm function with integers for parameters and one i32 for a result, called from within a host function.

    Args:
        function: A ``wasmtime_func_t``.
        signature: Its type.
    """

    def __init__(self, function: Any, signature: Signature) -> None:
        self._function = function
        self._layout = struct.Struct("<" + "Q8x" * len(signature.params))

    def __call__(self, context: Any, arguments: Sequence[int]) -> int:
        """Call it.

        Args:
            context: The store's context.
            arguments: Unsigned.

        Raises:
            Trapped: It trapped.
        """
        values = ctypes.create_string_buffer(self._layout.pack(*arguments), max(self._layout.size, _VALUE))
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        error = ffi.wasmtime_func_call_unchecked(
            context,
            ctypes.byref(self._function),
            ctypes.cast(values, ctypes.POINTER(ffi.wasmtime_val_raw_t)),
            len(values) // _VALUE,
            ctypes.byref(trap),
        )
        if trap:
            raise Trapped(_address(trap))
        if error:  # what the guest would have got from a call of its own
            raise Trapped.because(summary(wasmtime.WasmtimeError._from_ptr(error)))
        result: int = _RESULT.unpack_from(values)[0]
        return result


def memory_of(caller: Any, *, required: bool = False) -> memoryview:
    """The memory that the caller of a host function exports, as writable bytes.

    Args:
        caller: A ``wasmtime_caller_t``.
        required: Whether a caller that exports none is to trap, as it does in wasmtime's own functions; else it is empty.

    Raises:
        Trapped: It exports none.
    """
    item = ffi.wasmtime_extern_t()
    found = ffi.wasmtime_caller_export_get(caller, b"memory", 6, ctypes.byref(item))
    kind: Any = item.kind
    if not found or kind != ffi.WASMTIME_EXTERN_MEMORY.value:
        if required:
            raise Trapped.because("missing required memory export")
        return memoryview(bytearray())
    return memory_view(ffi.wasmtime_caller_context(caller), item.of.memory)


def memory_view(context: Any, memory: Any) -> memoryview:
    """A ``wasmtime_memory_t`` as writable bytes, until it grows."""
    size = ffi.wasmtime_memory_data_size(context, ctypes.byref(memory))
    address = _address(ffi.wasmtime_memory_data(context, ctypes.byref(memory)))
    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B") if size else memoryview(bytearray())


def _address(pointer: Any) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


def _exception(error: Any, trap: Any) -> Exception | None:
    if error:
        return wasmtime.WasmtimeError._from_ptr(error)
    if trap:
        return wasmtime.Trap._from_ptr(trap)
    return None
