"""Declares the part of wasmtime's C interface that is used: functions, structures and callbacks.

They have the names of wasmtime's headers, and are the same in all major versions that are tested; :mod:`.bindings` compares them with
the package's. An address is an ``int``, and the null pointer None where a function gives it.
"""

from __future__ import annotations

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    Union,
    c_bool,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_ubyte,
    c_uint32,
    c_uint64,
    c_void_p,
)

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class wasm_byte_vec_t(Structure):  # noqa: N801  the names of the headers
    """Bytes; see :func:`wasmoci.handlers._wasmtime.library.take_bytes`."""

    _fields_ = (("size", c_size_t), ("data", c_void_p))


class wasm_valtype_vec_t(Structure):  # noqa: N801
    """A vector of value types."""

    _fields_ = (("size", c_size_t), ("data", c_void_p))


class wasmtime_val_t(Structure):  # noqa: N801
    """A value; only its size matters here."""

    _fields_ = (("kind", c_ubyte), ("of", c_uint64 * 3))


class wasmtime_func_t(Structure):  # noqa: N801
    """A function in a store."""

    _fields_ = (("store_id", c_uint64), ("private", c_void_p))


class wasmtime_place_t(Structure):  # noqa: N801  without a name in the headers
    """The common beginning of structures for objects in a store."""

    _fields_ = (("store_id", c_uint64), ("private", c_uint32))


class wasmtime_memory_t(Structure):  # noqa: N801
    """A memory in a store."""

    _fields_ = (("place", wasmtime_place_t), ("private", c_uint32))


class wasmtime_extern_union_t(Union):  # noqa: N801
    """The union of exports; only the kinds that are used here."""

    _fields_ = (("func", wasmtime_func_t), ("memory", wasmtime_memory_t))


class wasmtime_extern_t(Structure):  # noqa: N801
    """An export."""

    _fields_ = (("kind", c_ubyte), ("of", wasmtime_extern_union_t))


class wasmtime_instance_t(Structure):  # noqa: N801
    """An instance in a store."""

    _fields_ = (("store_id", c_uint64), ("private", c_size_t))


class wasmtime_component_instance_t(Structure):  # noqa: N801
    """A component's instance in a store."""

    _fields_ = (("store_id", c_uint64), ("private", c_uint32))


class wasmtime_component_func_t(Structure):  # noqa: N801
    """A component's function in a store: its address alone is used, and up to version 48 it is smaller."""

    _fields_ = (("place", wasmtime_place_t), ("private1", c_uint32), ("private2", c_void_p))


class wasmtime_component_valresult_t(Structure):  # noqa: N801
    """A result: whether it is one that went well, and a value."""

    _fields_ = (("is_ok", c_bool), ("val", c_void_p))


class wasmtime_component_valunion_t(Union):  # noqa: N801
    """A component's value: no other kinds are looked at here."""

    _fields_ = (("result", wasmtime_component_valresult_t), ("space", c_uint64 * 3))


class wasmtime_component_val_t(Structure):  # noqa: N801
    """A component's value, and its kind."""

    _fields_ = (("kind", c_ubyte), ("of", wasmtime_component_valunion_t))


class wasmtime_component_valtype_t(Structure):  # noqa: N801
    """The type of a component's value."""

    _fields_ = (("kind", c_ubyte), ("of", c_void_p))


# Their addresses come as plain integers.
finalizer_t = CFUNCTYPE(None, c_void_p)
wasmtime_func_unchecked_callback_t = CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_void_p, c_size_t)
wasmtime_epoch_callback_t = CFUNCTYPE(c_size_t, c_void_p, c_void_p, POINTER(c_uint64), POINTER(c_ubyte))
wasi_output_callback_t = CFUNCTYPE(c_ssize_t, c_void_p, c_void_p, c_size_t)
wasmtime_memory_get_callback_t = CFUNCTYPE(c_size_t, c_void_p, POINTER(c_size_t), POINTER(c_size_t))
wasmtime_memory_grow_callback_t = CFUNCTYPE(c_size_t, c_void_p, c_size_t)


class wasmtime_linear_memory_t(Structure):  # noqa: N801
    """A memory that isn't wasmtime's own."""

    _fields_ = (
        ("env", c_void_p),
        ("get_memory", wasmtime_memory_get_callback_t),
        ("grow_memory", wasmtime_memory_grow_callback_t),
        ("finalizer", finalizer_t),
    )


wasmtime_new_memory_callback_t = CFUNCTYPE(
    c_size_t, c_void_p, c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, POINTER(wasmtime_linear_memory_t)
)


class wasmtime_memory_creator_t(Structure):  # noqa: N801
    """A creator of such memories."""

    _fields_ = (("env", c_void_p), ("new_memory", wasmtime_new_memory_callback_t), ("finalizer", finalizer_t))


def without_result(kind: Any) -> Any:
    """The type of a call-back in Python that stands behind an entry, see :mod:`wasmoci.handlers._callback_entries`.

    Args:
        kind: The type of the C function.
    """
    return CFUNCTYPE(None, *kind._argtypes_)


NO_FINALIZER = finalizer_t(0)
WASM_TYPES = {"i32": 0, "i64": 1}
WASMTIME_EXTERN_MEMORY = 3
WASMTIME_COMPONENT_RESULT = 19

# What pointers point to; any address is taken for one.
_bytes = "c_ubyte*"
_text = "c_char*"
_texts = "c_char**"
_number = "c_int*"
_byte_vec = "wasm_byte_vec_t*"
_caller = "wasmtime_caller_t*"
_component = "wasmtime_component_t*"
_component_func = "wasmtime_component_func_t*"
_component_func_type = "wasmtime_component_func_type_t*"
_component_index = "wasmtime_component_export_index_t*"
_component_instance = "wasmtime_component_instance_t*"
_component_linker = "wasmtime_component_linker_t*"
_component_val = "wasmtime_component_val_t*"
_component_valtype = "wasmtime_component_valtype_t*"
_config = "wasm_config_t*"
_context = "wasmtime_context_t*"
_creator = "wasmtime_memory_creator_t*"
_engine = "wasm_engine_t*"
_error = "wasmtime_error_t*"
_extern = "wasmtime_extern_t*"
_func = "wasmtime_func_t*"
_functype = "wasm_functype_t*"
_instance = "wasmtime_instance_t*"
_linker = "wasmtime_linker_t*"
_memory = "wasmtime_memory_t*"
_memorytype = "wasm_memorytype_t*"
_module = "wasmtime_module_t*"
_new_component = "wasmtime_component_t**"
_new_instance_pre = "wasmtime_instance_pre_t**"
_new_module = "wasmtime_module_t**"
_new_trap = "wasm_trap_t**"
_instance_pre = "wasmtime_instance_pre_t*"
_raw = "wasmtime_val_raw_t*"
_store = "wasmtime_store_t*"
_trap = "wasm_trap_t*"
_val = "wasmtime_val_t*"
_valtype = "wasm_valtype_t*"
_valtypes = "wasm_valtype_t**"
_valtype_vec = "wasm_valtype_vec_t*"
_wasi = "wasi_config_t*"

PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "wasm_config_new": (_config,),
    "wasmtime_config_epoch_interruption_set": (None, _config, c_bool),
    "wasmtime_config_consume_fuel_set": (None, _config, c_bool),
    "wasmtime_config_memory_init_cow_set": (None, _config, c_bool),
    "wasmtime_config_parallel_compilation_set": (None, _config, c_bool),
    "wasmtime_config_host_memory_creator_set": (None, _config, _creator),
    "wasm_engine_new_with_config": (_engine, _config),
    "wasm_engine_delete": (None, _engine),
    "wasmtime_engine_increment_epoch": (None, _engine),
    "wasmtime_store_new": (_store, _engine, c_void_p, finalizer_t),
    "wasmtime_store_delete": (None, _store),
    "wasmtime_store_context": (_context, _store),
    "wasmtime_store_limiter": (None, _store, c_int64, c_int64, c_int64, c_int64, c_int64),
    "wasmtime_store_epoch_deadline_callback": (None, _store, wasmtime_epoch_callback_t, c_void_p, finalizer_t),
    "wasmtime_context_set_fuel": (_error, _context, c_uint64),
    "wasmtime_context_set_wasi": (_error, _context, _wasi),
    "wasmtime_context_set_epoch_deadline": (None, _context, c_uint64),
    "wasmtime_module_new": (_error, _engine, _bytes, c_size_t, _new_module),
    "wasmtime_module_delete": (None, _module),
    "wasmtime_module_deserialize": (_error, _engine, _bytes, c_size_t, _new_module),
    "wasmtime_module_deserialize_file": (_error, _engine, _text, _new_module),
    "wasmtime_module_serialize": (_error, _module, _byte_vec),
    "wasmtime_module_validate": (_error, _engine, _bytes, c_size_t),
    "wasmtime_linker_new": (_linker, _engine),
    "wasmtime_linker_delete": (None, _linker),
    "wasmtime_linker_allow_shadowing": (None, _linker, c_bool),
    "wasmtime_linker_define_wasi": (_error, _linker),
    "wasmtime_linker_define_func_unchecked": (
        _error, _linker, _text, c_size_t, _text, c_size_t, _functype,
        wasmtime_func_unchecked_callback_t, c_void_p, finalizer_t,
    ),
    "wasmtime_linker_instantiate_pre": (_error, _linker, _module, _new_instance_pre),
    "wasmtime_instance_pre_instantiate": (_error, _instance_pre, _context, _instance, _new_trap),
    "wasmtime_instance_pre_delete": (None, _instance_pre),
    "wasmtime_instance_export_get": (c_bool, _context, _instance, _text, c_size_t, _extern),
    "wasm_functype_new": (_functype, _valtype_vec, _valtype_vec),
    "wasm_functype_delete": (None, _functype),
    "wasm_valtype_new": (_valtype, c_ubyte),
    "wasm_valtype_vec_new": (None, _valtype_vec, c_size_t, _valtypes),
    "wasmtime_func_call": (_error, _context, _func, _val, c_size_t, _val, c_size_t, _new_trap),
    "wasmtime_func_call_unchecked": (_error, _context, _func, _raw, c_size_t, _new_trap),
    "wasmtime_val_unroot": (None, _val),
    "wasmtime_caller_export_get": (c_bool, _caller, _text, c_size_t, _extern),
    "wasmtime_caller_context": (_context, _caller),
    "wasmtime_memory_data": (_bytes, _context, _memory),
    "wasmtime_memory_data_size": (c_size_t, _context, _memory),
    "wasmtime_memorytype_is64": (c_bool, _memorytype),
    "wasmtime_error_new": (_error, _text),
    "wasmtime_error_delete": (None, _error),
    "wasmtime_error_message": (None, _error, _byte_vec),
    "wasmtime_error_exit_status": (c_bool, _error, _number),
    "wasmtime_trap_new": (_trap, _text, c_size_t),
    "wasm_trap_message": (None, _trap, _byte_vec),
    "wasm_trap_delete": (None, _trap),
    "wasm_byte_vec_new": (None, _byte_vec, c_size_t, _bytes),
    "wasm_byte_vec_delete": (None, _byte_vec),
    "wasmtime_wat2wasm": (_error, _text, c_size_t, _byte_vec),
    "wasi_config_new": (_wasi,),
    "wasi_config_delete": (None, _wasi),
    "wasi_config_set_argv": (c_bool, _wasi, c_size_t, _texts),
    "wasi_config_set_env": (c_bool, _wasi, c_size_t, _texts, _texts),
    "wasi_config_inherit_stdin": (None, _wasi),
    "wasi_config_set_stdin_bytes": (None, _wasi, _byte_vec),
    "wasi_config_set_stdin_file": (c_bool, _wasi, _text),
    "wasi_config_inherit_stdout": (None, _wasi),
    "wasi_config_set_stdout_custom": (None, _wasi, wasi_output_callback_t, c_void_p, finalizer_t),
    "wasi_config_inherit_stderr": (None, _wasi),
    "wasi_config_set_stderr_custom": (None, _wasi, wasi_output_callback_t, c_void_p, finalizer_t),
    "wasi_config_preopen_dir": (c_bool, _wasi, _text, _text, c_bool),
    "wasmtime_component_new": (_error, _engine, _bytes, c_size_t, _new_component),
    "wasmtime_component_delete": (None, _component),
    "wasmtime_component_deserialize": (_error, _engine, _bytes, c_size_t, _new_component),
    "wasmtime_component_deserialize_file": (_error, _engine, _text, _new_component),
    "wasmtime_component_serialize": (_error, _component, _byte_vec),
    "wasmtime_component_linker_new": (_component_linker, _engine),
    "wasmtime_component_linker_delete": (None, _component_linker),
    "wasmtime_component_linker_add_wasip2": (_error, _component_linker),
    "wasmtime_component_linker_define_unknown_imports_as_traps": (_error, _component_linker, _component),
    "wasmtime_component_linker_instantiate": (_error, _component_linker, _context, _component, _component_instance),
    "wasmtime_component_instance_get_export_index": (
        _component_index, _component_instance, _context, _component_index, _text, c_size_t,
    ),
    "wasmtime_component_export_index_delete": (None, _component_index),
    "wasmtime_component_instance_get_func": (c_bool, _component_instance, _context, _component_index, _component_func),
    "wasmtime_component_func_type": (_component_func_type, _component_func, _context),
    "wasmtime_component_func_type_delete": (None, _component_func_type),
    "wasmtime_component_func_type_param_count": (c_size_t, _component_func_type),
    "wasmtime_component_func_type_result": (c_bool, _component_func_type, _component_valtype),
    "wasmtime_component_func_call": (
        _error, _component_func, _context, _component_val, c_size_t, _component_val, c_size_t,
    ),
    "wasmtime_component_val_delete": (None, _component_val),
    "wasmtime_component_valtype_delete": (None, _component_valtype),
}  # fmt: skip
"""The functions: what each gives, and what it takes. A pointer is the text of what it points to, with its asterisks."""
