"""Runs WebAssembly workloads described as OCI containers.

::

    import wasmoci

    result = wasmoci.run("bundle/", timeout=5.0)
    result.check()

The names below are loaded when they are first used: importing wasmoci loads no engine and hardly anything else.
"""

from __future__ import annotations

from wasmoci._startup import lazy

__version__ = "0.1.0"

TYPE_CHECKING = False  # the name that type checkers know, without an import
if TYPE_CHECKING:
    from wasmoci.api import classify as classify
    from wasmoci.api import engines as engines
    from wasmoci.api import explain as explain
    from wasmoci.api import preload as preload
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

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "api": ("classify", "engines", "explain", "preload", "run", "run_async", "start"),
        "determinism": ("Determinism", "deterministic"),
        "dispatch.dispatcher": ("Dispatcher",),
        "dispatch.explanation": ("Explanation",),
        "dispatch.registry": ("EngineStatus",),
        "dispatch.settings": ("Settings",),
        "errors": (
            "CompileLimitExceeded",
            "DuplicateEngine",
            "EngineCrashed",
            "EngineError",
            "EngineUnavailable",
            "EntrypointError",
            "EntrypointNotFound",
            "IntegrationError",
            "InvalidBundle",
            "InvalidConfiguration",
            "InvalidInput",
            "InvalidModule",
            "InvalidMount",
            "InvalidSpec",
            "JailUnavailable",
            "NativeRefused",
            "NativeRuntimeError",
            "NativeRuntimeNotFound",
            "NoSuitableEngine",
            "UnknownEngine",
            "UnsafePlace",
            "UnsupportedModule",
            "UnsupportedWorkload",
            "WasmociError",
        ),
        "handlers.capabilities": ("Capability",),
        "isolation": ("Isolation",),
        "isolation.running_guest": ("RunningGuest",),
        "limits": ("Limits",),
        "oci.bundle": ("Bundle",),
        "oci.classification": ("Classification", "Detection", "Kind"),
        "oci.spec": ("Spec",),
        "options": ("RunOptions", "StartOptions"),
        "result": ("ExecutionResult", "ExitReason", "GuestFailed", "GuestNotReady"),
        "stdio": ("Capture", "Stdio", "Stream"),
        "wasm.module": ("Feature", "Module"),
        "worker_pool": ("WorkerPool",),
    },
)
