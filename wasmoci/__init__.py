"""Runs WebAssembly workloads described as OCI containers.

::

    import wasmoci

    result = wasmoci.run("bundle/", timeout=5.0)
    result.check()

The names below are loaded when they are first used: importing wasmoci loads no engine, and next to nothing else.
"""

from __future__ import annotations

import sys
import types

TYPE_CHECKING = False  # as typing has it, the import of which takes longer than all else here
if TYPE_CHECKING:
    from wasmoci.api import engines as engines
    from wasmoci.api import explain as explain
    from wasmoci.api import run as run
    from wasmoci.api import run_async as run_async
    from wasmoci.api import start as start
    from wasmoci.bundle import Bundle as Bundle
    from wasmoci.capabilities import Capability as Capability
    from wasmoci.classify import Classification as Classification
    from wasmoci.classify import Detection as Detection
    from wasmoci.classify import Kind as Kind
    from wasmoci.classify import classify as classify
    from wasmoci.configuration import Settings as Settings
    from wasmoci.determinism import Determinism as Determinism
    from wasmoci.determinism import deterministic as deterministic
    from wasmoci.dispatcher import Dispatcher as Dispatcher
    from wasmoci.errors import CompileLimitExceeded as CompileLimitExceeded
    from wasmoci.errors import DuplicateEngine as DuplicateEngine
    from wasmoci.errors import EngineCrashed as EngineCrashed
    from wasmoci.errors import EngineError as EngineError
    from wasmoci.errors import EngineUnavailable as EngineUnavailable
    from wasmoci.errors import EntrypointError as EntrypointError
    from wasmoci.errors import EntrypointNotFound as EntrypointNotFound
    from wasmoci.errors import GuestFailed as GuestFailed
    from wasmoci.errors import GuestNotReady as GuestNotReady
    from wasmoci.errors import IntegrationError as IntegrationError
    from wasmoci.errors import InvalidBundle as InvalidBundle
    from wasmoci.errors import InvalidConfiguration as InvalidConfiguration
    from wasmoci.errors import InvalidInput as InvalidInput
    from wasmoci.errors import InvalidModule as InvalidModule
    from wasmoci.errors import InvalidMount as InvalidMount
    from wasmoci.errors import InvalidSpec as InvalidSpec
    from wasmoci.errors import JailUnavailable as JailUnavailable
    from wasmoci.errors import NativeRefused as NativeRefused
    from wasmoci.errors import NativeRuntimeError as NativeRuntimeError
    from wasmoci.errors import NativeRuntimeNotFound as NativeRuntimeNotFound
    from wasmoci.errors import NoSuitableEngine as NoSuitableEngine
    from wasmoci.errors import UnknownEngine as UnknownEngine
    from wasmoci.errors import UnsafePlace as UnsafePlace
    from wasmoci.errors import UnsupportedModule as UnsupportedModule
    from wasmoci.errors import UnsupportedWorkload as UnsupportedWorkload
    from wasmoci.errors import WasmociError as WasmociError
    from wasmoci.explanation import Explanation as Explanation
    from wasmoci.isolation import Isolation as Isolation
    from wasmoci.isolation.guest import RunningGuest as RunningGuest
    from wasmoci.limits import Limits as Limits
    from wasmoci.module import Feature as Feature
    from wasmoci.module import Module as Module
    from wasmoci.registry import EngineStatus as EngineStatus
    from wasmoci.result import ExecutionResult as ExecutionResult
    from wasmoci.result import ExitReason as ExitReason
    from wasmoci.spec import Spec as Spec
    from wasmoci.stdio import Capture as Capture
    from wasmoci.stdio import Stdio as Stdio
    from wasmoci.stdio import Stream as Stream
    from wasmoci.worker_pool import WorkerPool as WorkerPool

_HOMES = {
    "Bundle": "wasmoci.bundle",
    "Capability": "wasmoci.capabilities",
    "Capture": "wasmoci.stdio",
    "Classification": "wasmoci.classify",
    "Detection": "wasmoci.classify",
    "Determinism": "wasmoci.determinism",
    "Dispatcher": "wasmoci.dispatcher",
    "CompileLimitExceeded": "wasmoci.errors",
    "DuplicateEngine": "wasmoci.errors",
    "EngineCrashed": "wasmoci.errors",
    "EngineError": "wasmoci.errors",
    "EngineStatus": "wasmoci.registry",
    "EngineUnavailable": "wasmoci.errors",
    "EntrypointError": "wasmoci.errors",
    "EntrypointNotFound": "wasmoci.errors",
    "ExecutionResult": "wasmoci.result",
    "ExitReason": "wasmoci.result",
    "Explanation": "wasmoci.explanation",
    "Feature": "wasmoci.module",
    "GuestFailed": "wasmoci.errors",
    "GuestNotReady": "wasmoci.errors",
    "IntegrationError": "wasmoci.errors",
    "InvalidBundle": "wasmoci.errors",
    "InvalidConfiguration": "wasmoci.errors",
    "InvalidInput": "wasmoci.errors",
    "InvalidModule": "wasmoci.errors",
    "InvalidMount": "wasmoci.errors",
    "InvalidSpec": "wasmoci.errors",
    "Isolation": "wasmoci.isolation",
    "JailUnavailable": "wasmoci.errors",
    "Kind": "wasmoci.classify",
    "Limits": "wasmoci.limits",
    "Module": "wasmoci.module",
    "NativeRefused": "wasmoci.errors",
    "NativeRuntimeError": "wasmoci.errors",
    "NativeRuntimeNotFound": "wasmoci.errors",
    "NoSuitableEngine": "wasmoci.errors",
    "RunningGuest": "wasmoci.isolation.guest",
    "Settings": "wasmoci.configuration",
    "Spec": "wasmoci.spec",
    "Stdio": "wasmoci.stdio",
    "Stream": "wasmoci.stdio",
    "UnknownEngine": "wasmoci.errors",
    "UnsafePlace": "wasmoci.errors",
    "UnsupportedModule": "wasmoci.errors",
    "UnsupportedWorkload": "wasmoci.errors",
    "WasmociError": "wasmoci.errors",
    "WorkerPool": "wasmoci.worker_pool",
    "classify": "wasmoci.classify",
    "deterministic": "wasmoci.determinism",
    "engines": "wasmoci.api",
    "explain": "wasmoci.api",
    "run": "wasmoci.api",
    "run_async": "wasmoci.api",
    "start": "wasmoci.api",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  a list all the same


class _Package(types.ModuleType):
    """This package, in which ``wasmoci.classify`` stays the function once the module of that name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415  which a native container doesn't need

    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
