"""Validates or compiles a module in a worker process: the worker's side of :mod:`.preparation_process`.

The module comes on the standard input, and what the engine makes of it goes to the standard output; both are files in memory.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from wasmoci import compiled
from wasmoci.errors import UnsupportedWorkload
from wasmoci.isolation import confinement, messages
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    import socket

    from wasmoci.handlers.contract import EngineHandler

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def serve(request: dict[str, Any], handler: EngineHandler, channel: socket.socket) -> dict[str, Any]:
    """Run the task of a request, and return the answer.

    Args:
        request: See :func:`wasmoci.isolation.messages.task_request`.
        handler: The engine.
        channel: The socket on which the answer goes.

    Raises:
        WasmociError: The engine can't run the module, or it is damaged.
    """
    # What a handler prints is no part of the result.
    output = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    confinement.enter(request, {output, channel.fileno()})
    module = Module.read(_STDIN, source=request["source"])
    made: list[tuple[compiled.Key, bytes]] = []
    with compiled.collected(lambda key, data: made.append((key, data))):
        _TASKS[request["task"]](handler, module, request)
    for _, data in made:
        _write(output, data)
    return {"event": "done", "made": [[*key, len(data)] for key, data in made]}


def _validate(handler: EngineHandler, module: Module, _request: dict[str, Any]) -> None:
    handler.validate(module)


def _precompile(handler: EngineHandler, module: Module, request: dict[str, Any]) -> None:
    precompile = getattr(handler, "precompile", None)  # of Precompiling
    if precompile is None:
        raise UnsupportedWorkload(f"{handler.name} makes nothing of a module that could be kept")
    precompile(module, messages.limits_of(request))


_TASKS = {"validate": _validate, "precompile": _precompile}


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
