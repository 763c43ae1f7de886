"""Running components with WASI 0.2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import wasmtime

from wasmoci.errors import EntrypointError, UnsupportedModule
from wasmoci.handlers._wasmtime.traps import summary

if TYPE_CHECKING:
    from wasmtime import component

    from wasmoci.handlers._wasmtime.run import Run
    from wasmoci.module import Module

_RUN = "wasi:cli/run@0.2.0"  # stands for every compatible version
_INTERFACE = re.compile(r"(wasi:[a-z0-9-]+)/([a-z0-9-]+)@0\.2\.\d+")
_NETWORK = "wasi:http"
_PROVIDED = {
    "wasi:cli": {
        "environment", "exit", "stdin", "stdout", "stderr",
        "terminal-input", "terminal-output", "terminal-stdin", "terminal-stdout", "terminal-stderr",
    },
    "wasi:clocks": {"monotonic-clock", "wall-clock"},
    "wasi:filesystem": {"preopens", "types"},
    "wasi:io": {"error", "poll", "streams"},
    "wasi:random": {"random", "insecure", "insecure-seed"},
    "wasi:sockets": {
        "instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket",
    },
}  # fmt: skip
_MISMATCH = "component imports "
_SHOWN = 8


def check_imports(module: Module) -> None:
    """Refuse a component that imports what nobody provides.

    Interfaces of ``wasi:http`` are let through: each of their functions traps when it is called, as there is no network.

    Raises:
        UnsupportedModule: It does; the message names the imports.
    """
    unknown = [item.name for item in module.imports if not _is_provided(item.name)]
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise UnsupportedModule(
            f"{module.source}: imports {', '.join(unknown[:_SHOWN])}{more}, which wasmtime doesn't provide",
            hint="a component gets WASI 0.2 (wasi:cli/command) and nothing else; was it built for another world?",
        )


def needs_network(module: Module) -> bool:
    """Whether a component imports ``wasi:http``."""
    return any(item.name.startswith(_NETWORK) for item in module.imports)


def _is_provided(name: str) -> bool:
    match = _INTERFACE.fullmatch(name)
    return match is not None and (match[1] == _NETWORK or match[2] in _PROVIDED.get(match[1], ()))


def instantiate(
    store: wasmtime.Store, linker: component.Linker, compiled: component.Component, module: Module
) -> component.Instance | wasmtime.WasmtimeError:
    """Instantiate a component, which runs the start functions of its modules.

    Returns:
        The instance, or the error or trap that prevented it.

    Raises:
        UnsupportedModule: An import is there, but of another type.
    """
    try:
        return linker.instantiate(store, compiled)
    except wasmtime.WasmtimeError as error:
        if str(error).startswith(_MISMATCH):
            raise UnsupportedModule(f"{module.source}: {summary(error)}") from None
        return error


def find_function(
    context: wasmtime.Store, instance: component.Instance, module: Module, wanted: str | None
) -> component.Func:
    """The function of a component to call.

    Args:
        context: The store.
        instance: The component's instance.
        module: The component.
        wanted: A function, or an interface and its function (``ns:package/interface@1.0.0#function``); None for
            ``wasi:cli/run``.

    Raises:
        EntrypointError: It isn't exported, or takes parameters.
    """
    interface, mark, name = (wanted or f"{_RUN}#run").rpartition("#")
    index = None
    outer = instance.get_export_index(context, interface) if mark else None
    if outer is not None or not mark:
        index = instance.get_export_index(context, name, outer)
    function = None if index is None else instance.get_func(context, index)
    if function is None:
        shown = ", ".join(export.name for export in module.exports[:_SHOWN]) or "nothing at all"
        hint = None if wanted else "a command is built for the world wasi:cli/command"
        what = f"no function {wanted!r}" if wanted else "no wasi:cli/run"
        raise EntrypointError(f"{module.source}: exports {what}; it exports {shown}", hint=hint)
    count = len(function.type(context).params)
    if count:
        raise EntrypointError(
            f"{module.source}: the function {wanted!r} takes {count} parameters; one without parameters was expected"
        )
    return function


def call(context: wasmtime.Store, function: component.Func, run: Run) -> Exception | None:
    """Call a function of a component; an error as its result makes the exit code 1.

    Returns:
        The error or trap that ended it.
    """
    try:
        result = function(context)
    except wasmtime.WasmtimeError as error:
        return error
    from wasmtime import component  # noqa: PLC0415  core modules don't need it

    if isinstance(result, component.Variant) and result.tag == "err":
        run.exit_code = 1
    return None
