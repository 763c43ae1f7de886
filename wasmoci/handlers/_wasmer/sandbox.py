"""wasmer by its SDK, in whose sandboxes a guest calls :mod:`wasmoci.wasi` through a pipe.

The SDK runs a guest on a WASI of its own, with files in memory, and offers no way to give it host functions. So the module
is rewritten (:mod:`.tunnel`): all that it still asks of the SDK is to read from one pipe and to write to another.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from typing import TYPE_CHECKING, Any

from wasmoci.binary.rewrite import InitialMemoryTooLarge, limit_memory
from wasmoci.capabilities import Capability
from wasmoci.errors import EngineError, UnsupportedModule
from wasmoci.handlers import _host
from wasmoci.handlers._thread import on_stack
from wasmoci.handlers._wasmer.cache import cache_root
from wasmoci.handlers._wasmer.service import Service
from wasmoci.handlers._wasmer.tunnel import tunnel
from wasmoci.handlers.base import Outcome
from wasmoci.module import Feature
from wasmoci.wasi import ProcExit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wasmoci.handlers.base import Workload
    from wasmoci.module import Module
    from wasmoci.wasi import Wasi

_sdk = importlib.import_module("wasmer_sdk")

_COMMAND = "guest"
_STACK = 8 << 20  # bytes, for our side of the pipe; the guest has the SDK's
_SMALLEST_STACK = 1 << 20
_MAX_FRAMES = 64
_FAILED = "command execution failed: "
_TRAP = "RuntimeError: "

CAPABILITIES = frozenset(
    {Capability.WASI_PREVIEW1, Capability.LIVE_FILES, Capability.FILE_MOUNTS, Capability.MEMORY_LIMIT}
)
FEATURES = frozenset(
    {
        Feature.MUTABLE_GLOBALS,
        Feature.SIGN_EXTENSION,
        Feature.SATURATING_FLOAT_TO_INT,
        Feature.MULTI_VALUE,
        Feature.BULK_MEMORY_OPT,
        Feature.BULK_MEMORY,
        Feature.REFERENCE_TYPES,
        Feature.CALL_INDIRECT_OVERLONG,
        Feature.SIMD,
        Feature.RELAXED_SIMD,
        Feature.EXTENDED_CONST,
        Feature.EXCEPTIONS,
        Feature.WIDE_ARITHMETIC,
    }
)


class Sandboxed:
    """Runs core modules in the sandboxes of the SDK.

    One client serves all runs: each leaves descriptors and threads behind.
    """

    capabilities = CAPABILITIES
    features = FEATURES

    def __init__(self) -> None:
        self._rewritten = _host.ModuleCache()
        self._client: Any = None
        self._lock = threading.Lock()

    def run(self, workload: Workload) -> Outcome:
        """See :meth:`wasmoci.handlers.base.BaseHandler.run`."""
        try:
            data = self._rewrite(workload)
        except InitialMemoryTooLarge as error:
            return Outcome.out_of_memory(workload.limits.memory, detail=error.message)
        with self._lock:
            if self._client is None:
                self._client = _sdk.Wasmer(cache_root=cache_root(), output_bytes=0)
        with _host.open_wasi(workload) as wasi:
            # On a thread of its own, as the caller's may be in an event loop already.
            return on_stack(
                lambda _: asyncio.run(_run(self._client, workload, data, wasi)),
                _STACK,
                _SMALLEST_STACK,
                abandon=_nothing_to_abandon,
            )

    def _rewrite(self, workload: Workload) -> bytes:
        module, pages = workload.module, _host.max_pages(workload.limits)
        calls = _host.functions_to_call(workload)

        def rewrite() -> bytes:
            limited = module.data if pages is None else limit_memory(module.data, pages, source=module.source)
            return tunnel(limited, calls, original=module.data, source=module.source)

        return self._rewritten.get((module.digest, pages, calls), rewrite)


async def _run(client: Any, workload: Workload, data: bytes, wasi: Wasi) -> Outcome:
    try:
        package = await client.packages.create(
            _sdk.PackageDefinition(
                modules={_COMMAND: data}, commands={_COMMAND: _sdk.PackageCommandDefinition(module=_COMMAND)}
            )
        )
        async with await client.sandboxes.create(packages=[package]) as sandbox:
            process = await sandbox.command(package.command(_COMMAND)).spawn(
                stdin="pipe", stdout="pipe", stderr="discard", output_bytes=0
            )
            workload.started()
            return await _serve(process, workload, wasi)
    except _sdk.WasmerError as error:
        raise _refusal(error, workload.module) from None


async def _serve(process: Any, workload: Workload, wasi: Wasi) -> Outcome:
    service = Service(workload.entrypoint, wasi, _ProcessPipe(process))
    limits = workload.limits
    try:
        await service.run()
    except ProcExit as exit_:
        await _kill(process)
        return _host.exited(exit_.code, refused=service.refused, limits=limits)
    except BaseException:
        await _kill(process)
        raise
    try:
        await process.wait()
    except _sdk.WasmerError as error:
        message = str(error).removeprefix(_FAILED)
        if not message.startswith(_TRAP):
            raise
        message, *frames = message.removeprefix(_TRAP).split("\n", _MAX_FRAMES + 1)
        backtrace = tuple(frame.strip().removeprefix("at ") for frame in frames[:_MAX_FRAMES])
        return _host.trapped(message, backtrace, refused=service.refused, limits=limits)
    return _host.exited(0, refused=service.refused, limits=limits)


async def _kill(process: Any) -> None:
    await process.kill()
    await process.wait()


class _ProcessPipe:
    """The standard streams of a process of the SDK."""

    def __init__(self, process: Any) -> None:
        self._stdin = process.stdin
        self._chunks: AsyncIterator[bytes] = aiter(process.stdout)
        self._buffer = bytearray()

    async def read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                break
            self._buffer += chunk
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def write(self, data: bytes) -> None:
        await self._stdin.write(data)


def _refusal(error: Exception, module: Module) -> Exception:
    message = str(error).removeprefix(_FAILED)
    if "compile" in message:
        return UnsupportedModule(f"{module.source}: wasmer can't run it: {message}")
    return EngineError(f"{module.source}: wasmer failed: {message}")


def _nothing_to_abandon() -> None:
    # The guest ends at its next call of the host, whose files are closed then.
    pass
