"""Runs one guest in a sandbox of the SDK."""

from __future__ import annotations

import contextlib

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import EngineError, UnsupportedModule
from wasmoci.handlers import wasi_host
from wasmoci.handlers._wasmer.sdk_cache import cache_root, compiling
from wasmoci.handlers._wasmer.sdk_process import SdkProcess
from wasmoci.handlers._wasmer.tunnel_service import Service
from wasmoci.handlers.base import Outcome
from wasmoci.handlers.run_context import compile_limits
from wasmoci.wasi import ProcExit

if TYPE_CHECKING:
    from wasmoci.errors import WasmociError
    from wasmoci.handlers.base import Workload
    from wasmoci.wasi import Wasi
    from wasmoci.wasm.module import Module

_MAX_FRAMES = 64
_FAILED = "command execution failed: "
_TRAP = "RuntimeError: "


def run_in_sandbox(workload: Workload, data: bytes, wasi: Wasi) -> Outcome:
    """Run a guest.

    Args:
        workload: The guest and what it gets.
        data: Its module, written for a sandbox.
        wasi: Its host.

    Raises:
        UnsupportedModule: wasmer can't compile it.
        CompileLimitExceeded: To compile it takes more than it may.
        EngineError: The SDK failed.
    """
    with contextlib.ExitStack() as stack:
        cache = stack.enter_context(cache_root())
        time, memory = compile_limits.get()
        with compiling(cache, data, time):
            process = stack.enter_context(SdkProcess(data, cache, memory))
            answer = process.beginning(time, workload.module.source)
        if "started" not in answer:
            raise _refusal(answer.get("failed", "it ended before it began"), workload.module)
        workload.started()
        return _serve(process, workload, wasi)


def _serve(process: SdkProcess, workload: Workload, wasi: Wasi) -> Outcome:
    service = Service(workload.entrypoint, wasi, process)
    limits = workload.limits
    try:
        service.run()
    except ProcExit as exit_:
        return _ended(exit_.code, service, workload)
    answer = process.status()
    if "exited" in answer:
        # Its exit comes through the tunnel: from the SDK's side it returns, between two calls.
        if service.is_cut:
            raise _refusal("the guest ended in the middle of a call of its host", workload.module)
        if answer["exited"] != 0:
            raise _refusal(f"the guest was ended with {answer['exited']}", workload.module)
        return _ended(0, service, workload)
    message = answer.get("failed", "it began twice").removeprefix(_FAILED)
    if not message.startswith(_TRAP):
        raise _refusal(message, workload.module)
    message, *frames = message.removeprefix(_TRAP).split("\n", _MAX_FRAMES + 1)
    backtrace = tuple(frame.strip().removeprefix("at ") for frame in frames[:_MAX_FRAMES])
    return wasi_host.trapped(message, backtrace, refused=service.refused, limits=limits)


def _ended(code: int, service: Service, workload: Workload) -> Outcome:
    """The outcome of a guest that exited; it was told that all its writes went well, so it can't have when one hasn't."""
    if code == 0 and (lost := service.lost):
        return Outcome.trapped(f"what it wrote last to {lost} could not be written, and it ended before it was told")
    return wasi_host.exited(code, refused=service.refused, limits=workload.limits)


def _refusal(message: str, module: Module) -> WasmociError:
    message = message.removeprefix(_FAILED)
    if "compile error" in message:
        return UnsupportedModule(f"{module.source}: wasmer can't run it: {message}")
    return EngineError(f"{module.source}: wasmer failed: {message}")
