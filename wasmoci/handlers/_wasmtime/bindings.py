"""Compares the C interface that :mod:`.prototypes` declares with the one that the package ``wasmtime`` declares."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wasmoci.handlers._wasmtime import prototypes
from wasmoci.handlers._wasmtime.prototypes import PROTOTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PACKAGE = "_wasmoci_wasmtime"  # a name of its own: a program's own import of wasmtime is left alone
_SIZES = {"c_long": "c_int64", "c_ulong": "c_uint64"}
_UNNAMED = {"wasmtime_place_t": ("wasmtime_memory_anon_0", "wasmtime_component_func_anon_0")}
_OPAQUE = {"wasmtime_component_func_t"}
"""Structures that only the library reads and writes: theirs may be smaller than ours."""
_INCOMPLETE = {"space"}  # members of unions that stand for those that aren't declared here
_CALLBACKS = (
    "wasmtime_func_unchecked_callback_t",
    "wasmtime_memory_get_callback_t",
    "wasmtime_memory_grow_callback_t",
    "wasmtime_new_memory_callback_t",
)
"""The types of call-backs that the package names; the others are compared with the functions that take them."""

_lock = threading.Lock()


def load(package: Path) -> ModuleType:
    """Load the bindings of a package ``wasmtime``, without the rest of it and without changing ``sys.modules``.

    Args:
        package: The package's directory, a host path.

    Raises:
        ImportError: They can't be loaded.
    """
    with _lock:
        sys.modules[_PACKAGE] = parent = ModuleType(_PACKAGE)
        parent.__path__ = [str(package)]
        try:
            return importlib.import_module(f"{_PACKAGE}._ffi")
        except Exception as error:
            raise ImportError(f"its bindings can't be loaded: {error}", name="wasmtime") from error
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
                del sys.modules[name]


def differences(theirs: Any) -> list[str]:
    """Describe the differences between a package's bindings and the declarations here; nothing when they agree.

    Args:
        theirs: What :func:`load` has given.
    """
    return [
        *_functions(theirs),
        *(text for name in _structures() for text in _structure(theirs, name)),
        *_callbacks(theirs),
        *_numbers(theirs),
    ]


def _functions(theirs: Any) -> Iterator[str]:
    for name, (result, *parameters) in PROTOTYPES.items():
        function = getattr(theirs.dll, name, None)
        # A function that the bindings don't declare has no types of parameters.
        if function is None or function.argtypes is None:
            yield f"{name} is missing"
            continue
        ours, other = _signature(result, parameters), _signature(function.restype, function.argtypes)
        if ours != other:
            yield f"{name} is {other}, not {ours}"


def _structures() -> list[str]:
    kinds = (ctypes.Structure, ctypes.Union)
    return [
        name
        for name, kind in vars(prototypes).items()
        if isinstance(kind, type) and issubclass(kind, kinds) and kind.__module__ == prototypes.__name__
    ]


def _structure(theirs: Any, name: str) -> Iterator[str]:
    ours = getattr(prototypes, name)
    for candidate in _UNNAMED.get(name, (name,)):
        other = getattr(theirs, candidate, None) or getattr(theirs, candidate.removesuffix("_t"), None)
        if other is None:
            yield f"{candidate} is missing"
        elif name in _OPAQUE:
            if ctypes.sizeof(other) > ctypes.sizeof(ours) or ctypes.alignment(other) > ctypes.alignment(ours):
                yield f"{candidate} has {ctypes.sizeof(other)} bytes, more than {ctypes.sizeof(ours)}"
        elif (ctypes.sizeof(ours), ctypes.alignment(ours)) != (ctypes.sizeof(other), ctypes.alignment(other)):
            yield f"{candidate} has {ctypes.sizeof(other)} bytes, not {ctypes.sizeof(ours)}"
        elif _members(ours).items() - _members(other).items() or _holds_more(ours, other):
            yield f"{candidate} has other members"


def _members(kind: Any) -> dict[object, object]:
    """Return what has to agree: the offsets of a structure's members, or the names and types of a union's."""
    if issubclass(kind, ctypes.Union):
        return {name: _told(member) for name, member in kind._fields_ if name not in _INCOMPLETE}
    return {getattr(kind, name).offset: getattr(kind, name).size for name, _ in kind._fields_}


def _holds_more(ours: Any, other: Any) -> bool:
    return issubclass(ours, ctypes.Structure) and len(ours._fields_) != len(other._fields_)


def _callbacks(theirs: Any) -> Iterator[str]:
    for name in _CALLBACKS:
        ours, other = getattr(prototypes, name), getattr(theirs, name, None)
        if other is None:
            yield f"{name} is missing"
        elif _told(ours) != _told(other):
            yield f"{name} is {_told(other)}, not {_told(ours)}"


def _numbers(theirs: Any) -> Iterator[str]:
    ours = {
        "WASM_I32": prototypes.WASM_TYPES["i32"],
        "WASM_I64": prototypes.WASM_TYPES["i64"],
        "WASMTIME_EXTERN_MEMORY": prototypes.WASMTIME_EXTERN_MEMORY,
        "WASMTIME_COMPONENT_RESULT": prototypes.WASMTIME_COMPONENT_RESULT,
    }
    for name, number in ours.items():
        other = getattr(getattr(theirs, name, None), "value", None)
        if other != number:
            yield f"{name} is {other}, not {number}"


def _signature(result: Any, parameters: Any) -> str:
    return f"({', '.join(map(_told, parameters))}) -> {_told(result)}"


def _told(kind: Any) -> str:
    """A type in words, in which a pointer has those of :data:`.prototypes.PROTOTYPES`."""
    if kind is None or isinstance(kind, str):
        return str(kind)
    if issubclass(kind, ctypes._CFuncPtr):  # type: ignore[attr-defined]  # noqa: SLF001
        # Ours take every pointer as an integer.
        result, *parameters = (
            "a pointer" if _is_address(item) else item for item in (kind._restype_, *kind._argtypes_)
        )
        return _signature(result, parameters)
    if issubclass(kind, ctypes._Pointer):  # noqa: SLF001
        return f"{_told(kind._type_)}*"
    name: str = kind.__name__
    if issubclass(kind, (ctypes.Structure, ctypes.Union)):
        return name if name.endswith("_t") else f"{name}_t"
    return _SIZES.get(name, name)


def _is_address(kind: Any) -> bool:
    return kind is not None and issubclass(kind, (ctypes._Pointer, ctypes.c_void_p))  # noqa: SLF001
