"""Validates and compiles a module before its run: in this process if the engine's cost is bounded by the module's size, else in a worker.

A compiler can't be interrupted, and takes minutes for some modules of a few megabytes. So a module that isn't small is compiled in a
process that can be killed, unless it was compiled before. An engine without a sandbox reads modules only in such a process, in the jail.
"""

from __future__ import annotations

import time
import weakref

from wasmoci import compiled
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.compiled import identity
from wasmoci.errors import CompileLimitExceeded
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation.compile_bounds import DEFAULT, Bounds
from wasmoci.isolation.handler_import import is_importable
from wasmoci.limits import Limits
from wasmoci.wasm.module import ModuleKind

if TYPE_CHECKING:
    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.wasm.module import Module

INLINE_SIZE = 1 << 10
"""Bytes of a module that is validated and compiled in the caller's process, on an engine that is a sandbox.

The worst that is known of this size (functions with 50,000 locals each) takes wasmtime a quarter of a second; with 4 KiB it is seven
seconds (nested loops), and with 8 KiB more than a minute, or four gigabytes (nested blocks with a thousand results).
"""

_PATIENCE = 600.0  # seconds to wait for another process, where there is no limit
_NO_LIMITS = Limits()
_VALID = "valid"

_known: weakref.WeakKeyDictionary[Module, set[tuple[object, ...]]] = weakref.WeakKeyDictionary()
"""What was prepared before in this process."""


def validate(handler: EngineHandler, module: Module, bounds: Bounds = DEFAULT, *, ahead: Limits | None = None) -> None:
    """Validate a module with an engine, as :meth:`wasmoci.handlers.base.EngineHandler.validate` does.

    Args:
        handler: The engine.
        module: The module.
        bounds: What that may use.
        ahead: The limits of the run that follows, for which it is compiled at the same go; None where none does.

    Raises:
        CompileLimitExceeded: It took more than it may.
        EngineCrashed: The engine died of it.
        WasmociError: The engine can't run the module, or the module is damaged.
    """
    if ahead is not None and _is_known(handler, module, *_words(ahead)):
        return
    if is_here(handler, module, bounds):
        handler.validate(module)
        return
    if ahead is not None and hasattr(handler, "precompile"):
        if not _prepare(handler, module, ahead, bounds):
            handler.validate(module)  # which asks the engine nothing, once it has compiled the module
        return
    if _is_known(handler, module, _VALID):
        return
    if _is_kept(handler, module, _NO_LIMITS):
        handler.validate(module)
    else:
        _perform("validate", handler, module, _NO_LIMITS, bounds)
    _remember(handler, module, _VALID)


def prepare(handler: EngineHandler, module: Module, limits: Limits, bounds: Bounds = DEFAULT) -> None:
    """Compile a module with an engine, unless it is compiled already or the engine does so itself in bounded time.

    Args:
        handler: The engine.
        module: The module.
        limits: Limits of the kinds that its runs are to have.
        bounds: What that may use.

    Raises:
        CompileLimitExceeded: It took more than it may.
        EngineCrashed: The engine died of it.
        WasmociError: The engine can't run the module, or the module is damaged.
    """
    if not is_here(handler, module, bounds) and hasattr(handler, "precompile"):
        _prepare(handler, module, limits, bounds)


def is_here(handler: EngineHandler, module: Module, bounds: Bounds = DEFAULT) -> bool:
    """Return whether an engine may validate and compile a module in the caller's process."""
    if Capability.SANDBOXED not in handler.capabilities:
        return False
    if module.size <= INLINE_SIZE or bounds.is_none:
        return bounds.group is None
    # Of a class that no other process can import the caller's own program is the author.
    return not is_importable(type(handler))


def _prepare(handler: EngineHandler, module: Module, limits: Limits, bounds: Bounds) -> bool:
    """Compile it; return False if it was compiled before, so that it hasn't been validated now."""
    words = _words(limits)
    if _is_known(handler, module, *words):
        return True
    began = time.monotonic()
    fresh = False
    if not _is_kept(handler, module, limits):
        name = identity.digest("compiling", module.digest, handler.name, repr(words))
        with compiled.alone(name, _PATIENCE if bounds.time is None else bounds.time) as alone:
            if not alone:
                raise CompileLimitExceeded(
                    f"{module.source}: another process has not compiled it for {handler.name} within"
                    f" {time.monotonic() - began:.3g} s",
                    limit="time",
                    hint="wait until that one has ended, or end it",
                )
            fresh = not _is_kept(handler, module, limits)  # another process may have stored it meanwhile
            if fresh:
                if bounds.time is not None:
                    spent = min(time.monotonic() - began, bounds.time)
                    bounds = attrs.evolve(bounds, time=bounds.time - spent, spent=spent)
                _perform("precompile", handler, module, limits, bounds)
    _remember(handler, module, *words)
    return fresh


def _words(limits: Limits) -> tuple[object, ...]:
    return limits.time is not None, limits.memory, limits.fuel is not None


def _perform(task: str, handler: EngineHandler, module: Module, limits: Limits, bounds: Bounds) -> None:
    from wasmoci.isolation.preparation_process import perform  # noqa: PLC0415  10 ms (socket): most modules were compiled before

    jailed = Capability.SANDBOXED not in handler.capabilities
    made = perform(task, handler, module, limits, bounds, jailed=jailed)
    # Where there is no cache, what was assembled of a text is asked for next, and what was compiled if the module runs.
    if task == "precompile" or module.kind is ModuleKind.TEXT or compiled.is_on():
        for key, data in made:
            compiled.keep(key, data)


def _is_kept(handler: EngineHandler, module: Module, limits: Limits) -> bool:
    kept = getattr(handler, "kept", None)  # of Keeping
    return kept is not None and kept(module, limits) is not None


def _is_known(handler: EngineHandler, module: Module, *words: object) -> bool:
    return (handler, *words) in _known.get(module, ())


def _remember(handler: EngineHandler, module: Module, *words: object) -> None:
    _known.setdefault(module, set()).add((handler, *words))
