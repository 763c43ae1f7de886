"""Runs components with WASI 0.2."""

from __future__ import annotations

import ctypes

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import EntrypointError, UnsupportedModule
from wasmoci.handlers._wasmtime.library import Error, Owned, check, library
from wasmoci.handlers._wasmtime.prototypes import (
    WASMTIME_COMPONENT_RESULT,
    wasmtime_component_func_t,
    wasmtime_component_instance_t,
    wasmtime_component_val_t,
    wasmtime_component_valtype_t,
)
from wasmoci.handlers._wasmtime.traps import summary

if TYPE_CHECKING:
    from wasmoci.handlers._wasmtime.run_state import Run
    from wasmoci.wasm.module import Module

_RUN = "wasi:cli/run@0.2.0"  # stands for every compatible version
_MISMATCH = "component imports "
_SHOWN = 8  # names that a message lists


def new_linker(engine: Owned) -> Owned:
    """Return a linker with WASI 0.2, a ``wasmtime_component_linker_t``."""
    linker = Owned(library.wasmtime_component_linker_new(engine.pointer), library.wasmtime_component_linker_delete)
    check(library.wasmtime_component_linker_add_wasip2(linker.pointer))
    return linker


def define_traps(linker: Owned, compiled: Owned) -> None:
    """Define the imports that the linker lacks as functions that trap when they are called."""
    check(library.wasmtime_component_linker_define_unknown_imports_as_traps(linker.pointer, compiled.pointer))


def instantiate(context: int, linker: Owned, compiled: Owned, module: Module) -> wasmtime_component_instance_t | Error:
    """Instantiate a component, which runs the start functions of its modules.

    Args:
        context: A store's context.
        linker: What the component imports.
        compiled: The component.
        module: The same as it came.

    Returns:
        The instance, or the error or trap that prevented it.

    Raises:
        UnsupportedModule: An import is there, but of another type.
    """
    instance = wasmtime_component_instance_t()
    failed = library.wasmtime_component_linker_instantiate(
        linker.pointer, context, compiled.pointer, ctypes.byref(instance)
    )
    if not failed:
        return instance
    error = Error(failed)
    if str(error).startswith(_MISMATCH):
        raise UnsupportedModule(f"{module.source}: {summary(error)}")
    return error


def find_function(
    context: int, instance: wasmtime_component_instance_t, module: Module, wanted: str | None
) -> wasmtime_component_func_t:
    """Return the function of a component to call.

    Args:
        context: The store's context.
        instance: The component's instance.
        module: The component.
        wanted: A function, or an interface and its function (``ns:package/interface@1.0.0#function``); None for
            ``wasi:cli/run``.

    Raises:
        EntrypointError: It isn't exported, or takes parameters.
    """
    interface, mark, name = (wanted or f"{_RUN}#run").rpartition("#")
    function = _exported(context, instance, [interface, name] if mark else [name])
    if function is None:
        shown = ", ".join(export.name for export in module.exports[:_SHOWN]) or "nothing at all"
        hint = None if wanted else "a command is built for the world wasi:cli/command"
        what = f"no function {wanted!r}" if wanted else "no wasi:cli/run"
        raise EntrypointError(f"{module.source}: exports {what}; it exports {shown}", hint=hint)
    with _type(context, function) as kind:
        count = library.wasmtime_component_func_type_param_count(kind.pointer)
    if count:
        raise EntrypointError(
            f"{module.source}: the function {wanted!r} takes {count} parameters; one without parameters was expected"
        )
    return function


def call(context: int, function: wasmtime_component_func_t, run: Run) -> Error | None:
    """Call a function of a component; an error as its result is exit code 1.

    Returns:
        The error or trap that ended it.
    """
    value = wasmtime_component_val_t()
    results = int(_has_result(context, function))
    place = ctypes.byref(value) if results else None
    failed = library.wasmtime_component_func_call(ctypes.byref(function), context, None, 0, place, results)
    if failed:
        return Error(failed)
    if results:
        kind: int = value.kind
        if kind == WASMTIME_COMPONENT_RESULT and not value.of.result.is_ok:
            run.exit_code = 1
        library.wasmtime_component_val_delete(place)
    return None


def _exported(
    context: int, instance: wasmtime_component_instance_t, names: list[str]
) -> wasmtime_component_func_t | None:
    """The function under a path of names, each in the instance before; None when there is none."""
    place = ctypes.byref(instance)
    index: Owned | None = None
    for name in names:
        text = name.encode()
        outer = index.pointer if index else None
        found = library.wasmtime_component_instance_get_export_index(place, context, outer, text, len(text))
        if not found:
            return None
        index = Owned(found, library.wasmtime_component_export_index_delete)
    function = wasmtime_component_func_t()
    got = index and library.wasmtime_component_instance_get_func(place, context, index.pointer, ctypes.byref(function))
    return function if got else None


def _type(context: int, function: wasmtime_component_func_t) -> Owned:
    return Owned(
        library.wasmtime_component_func_type(ctypes.byref(function), context),
        library.wasmtime_component_func_type_delete,
    )


def _has_result(context: int, function: wasmtime_component_func_t) -> bool:
    result = wasmtime_component_valtype_t()
    with _type(context, function) as kind:
        found: bool = library.wasmtime_component_func_type_result(kind.pointer, ctypes.byref(result))
    if found:
        library.wasmtime_component_valtype_delete(ctypes.byref(result))
    return found
