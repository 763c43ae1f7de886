"""Runs WebAssembly workloads described as OCI containers.

::

    import wasmoci

    result = wasmoci.run("bundle/", timeout=5.0)
    result.check()

The names below are loaded when they are first used: importing wasmoci loads no engine, and next to nothing else.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the name that type checkers know, without an import
if TYPE_CHECKING:
    from wasmoci.api import classify as classify
    from wasmoci.api import engines as engines
    from wasmoci.api import explain as explain
    from wasmoci.api import run as run
    from wasmoci.api import run_async as run_async
    from wasmoci.api import start as start
    from wasmoci.determinism import Determinism as Determinism
    from wasmoci.determinism import deterministic as deterministic
    from wasmoci.dispatch.dispatcher import Dispatcher as Dispatcher
    from wasmoci.dispatch.explanation import Explanation as Explanation
    from wasmoci.dispatch.registry import EngineStatus as EngineStatus
    from wasmoci.dispatch.settings import Settings as Settings
    from wasmoci.errors import CompileLimitExceeded as CompileLimitExceeded
    from wasmoci.errors import DuplicateEngine as DuplicateEngine
    from wasmoci.errors import EngineCrashed as EngineCrashed
    from wasmoci.errors import EngineError as EngineError
    from wasmoci.errors import EngineUnavailable as EngineUnavailable
    from wasmoci.errors import EntrypointError as EntrypointError
    from wasmoci.errors import EntrypointNotFound as EntrypointNotFound
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
    from wasmoci.handlers.capabilities import Capability as Capability
    from wasmoci.isolation import Isolation as Isolation
    from wasmoci.isolation.running_guest import RunningGuest as RunningGuest
    from wasmoci.limits import Limits as Limits
    from wasmoci.oci.bundle import Bundle as Bundle
    from wasmoci.oci.classification import Classification as Classification
    from wasmoci.oci.classification import Detection as Detection
    from wasmoci.oci.classification import Kind as Kind
    from wasmoci.oci.spec import Spec as Spec
    from wasmoci.options import RunOptions as RunOptions
    from wasmoci.options import StartOptions as StartOptions
    from wasmoci.result import ExecutionResult as ExecutionResult
    from wasmoci.result import ExitReason as ExitReason
    from wasmoci.result import GuestFailed as GuestFailed
    from wasmoci.result import GuestNotReady as GuestNotReady
    from wasmoci.stdio import Capture as Capture
    from wasmoci.stdio import Stdio as Stdio
    from wasmoci.stdio import Stream as Stream
    from wasmoci.wasm.module import Feature as Feature
    from wasmoci.wasm.module import Module as Module
    from wasmoci.worker_pool import WorkerPool as WorkerPool

_HOMES = {
    "Bundle": "wasmoci.oci.bundle",
    "Capability": "wasmoci.handlers.capabilities",
    "Capture": "wasmoci.stdio",
    "Classification": "wasmoci.oci.classification",
    "Detection": "wasmoci.oci.classification",
    "Determinism": "wasmoci.determinism",
    "Dispatcher": "wasmoci.dispatch.dispatcher",
    "CompileLimitExceeded": "wasmoci.errors",
    "DuplicateEngine": "wasmoci.errors",
    "EngineCrashed": "wasmoci.errors",
    "EngineError": "wasmoci.errors",
    "EngineStatus": "wasmoci.dispatch.registry",
    "EngineUnavailable": "wasmoci.errors",
    "EntrypointError": "wasmoci.errors",
    "EntrypointNotFound": "wasmoci.errors",
    "ExecutionResult": "wasmoci.result",
    "ExitReason": "wasmoci.result",
    "Explanation": "wasmoci.dispatch.explanation",
    "Feature": "wasmoci.wasm.module",
    "GuestFailed": "wasmoci.result",
    "GuestNotReady": "wasmoci.result",
    "IntegrationError": "wasmoci.errors",
    "InvalidBundle": "wasmoci.errors",
    "InvalidConfiguration": "wasmoci.errors",
    "InvalidInput": "wasmoci.errors",
    "InvalidModule": "wasmoci.errors",
    "InvalidMount": "wasmoci.errors",
    "InvalidSpec": "wasmoci.errors",
    "Isolation": "wasmoci.isolation",
    "JailUnavailable": "wasmoci.errors",
    "Kind": "wasmoci.oci.classification",
    "Limits": "wasmoci.limits",
    "Module": "wasmoci.wasm.module",
    "NativeRefused": "wasmoci.errors",
    "NativeRuntimeError": "wasmoci.errors",
    "NativeRuntimeNotFound": "wasmoci.errors",
    "NoSuitableEngine": "wasmoci.errors",
    "RunOptions": "wasmoci.options",
    "RunningGuest": "wasmoci.isolation.running_guest",
    "Settings": "wasmoci.dispatch.settings",
    "Spec": "wasmoci.oci.spec",
    "StartOptions": "wasmoci.options",
    "Stdio": "wasmoci.stdio",
    "Stream": "wasmoci.stdio",
    "UnknownEngine": "wasmoci.errors",
    "UnsafePlace": "wasmoci.errors",
    "UnsupportedModule": "wasmoci.errors",
    "UnsupportedWorkload": "wasmoci.errors",
    "WasmociError": "wasmoci.errors",
    "WorkerPool": "wasmoci.worker_pool",
    "classify": "wasmoci.api",
    "deterministic": "wasmoci.determinism",
    "engines": "wasmoci.api",
    "explain": "wasmoci.api",
    "run": "wasmoci.api",
    "run_async": "wasmoci.api",
    "start": "wasmoci.api",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  a list all the same


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
