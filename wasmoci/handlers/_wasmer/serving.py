"""One run of a guest in a sandbox of the SDK's."""

from __future__ import annotations

import contextlib

from wasmoci.errors import EngineError, UnsupportedModule
from wasmoci.handlers import _host
from wasmoci.handlers._wasmer.cache import cache_root, compiling
from wasmoci.handlers._wasmer.process import SdkProcess
from wasmoci.handlers._wasmer.service import Service
from wasmoci.handlers.base import compile_limits
from wasmoci.wasi import ProcExit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasmoci.errors import WasmociError
    from wasmoci.handlers.base import Outcome, Workload
    from wasmoci.module import Module
    from wasmoci.wasi import Wasi

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
            raise _refusal(answer["failed"], workload.module)
        workload.started()
        return _serve(process, workload, wasi)


def _serve(process: SdkProcess, workload: Workload, wasi: Wasi) -> Outcome:
    service = Service(workload.entrypoint, wasi, process)
    limits = workload.limits
    try:
        service.run()
    except ProcExit as exit_:
        return _host.exited(exit_.code, refused=service.refused, limits=limits)
    answer = process.status()
    if "exited" in answer:
        return _host.exited(0, refused=service.refused, limits=limits)
    message = answer["failed"].removeprefix(_FAILED)
    if not message.startswith(_TRAP):
        raise _refusal(message, workload.module)
    message, *frames = message.removeprefix(_TRAP).split("\n", _MAX_FRAMES + 1)
    backtrace = tuple(frame.strip().removeprefix("at ") for frame in frames[:_MAX_FRAMES])
    return _host.trapped(message, backtrace, refused=service.refused, limits=limits)


def _refusal(message: str, module: Module) -> WasmociError:
    message = message.removeprefix(_FAILED)
    if "compile error" in message:
        return UnsupportedModule(f"{module.source}: wasmer can't run it: {message}")
    return EngineError(f"{module.source}: wasmer failed: {message}")
