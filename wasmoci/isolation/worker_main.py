"""The worker process: runs one guest or one task for a module (:mod:`.preparation_tasks`), and reports the result.

Started as ``python -I -c BOOT FD``, or forked by :mod:`.warm_server`: the request comes, and the answer goes, through the socket
``FD``. The guest's streams are the process's own descriptors 0, 1 and 2.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from wasmoci import compiled
from wasmoci.determinism import applied
from wasmoci.handlers.base import BaseHandler, from_reference
from wasmoci.handlers.capabilities import Capability
from wasmoci.handlers.run_context import compile_limits, on_load, on_start
from wasmoci.isolation import (
    confinement,
    descriptor_limit,
    memory_limit,
    messages,
    preparation,
    preparation_tasks,
    worker_request,
)
from wasmoci.isolation.compile_bounds import Bounds
from wasmoci.oci.entrypoint import modules
from wasmoci.oci.spec import Spec
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.isolation.jail.root import Place
    from wasmoci.limits import Limits
    from wasmoci.wasm.module import Module


_MOST = 4 << 30  # bytes of memory that a guest can have
_OVERHEAD = 3 << 30  # bytes that a process in the jail may have beside: two of the engine's stacks, and all else


def main(descriptor: int, parent: int, request: dict[str, Any]) -> NoReturn:
    """Serve one request, and end the process.

    Args:
        descriptor: The socket to answer on.
        parent: The caller's process id.
        request: See :func:`wasmoci.isolation.messages.request`, and :func:`wasmoci.isolation.messages.task_request`.
    """
    worker_request.die_with(parent)

    def load() -> EngineHandler:
        handler = from_reference(request["handler"])
        confinement.rehearse(request, handler)
        return handler

    worker_request.answer(socket.socket(fileno=descriptor), lambda: request, load, _serve)


def main_forked(descriptor: int, parent: int, load: Callable[[], EngineHandler]) -> NoReturn:
    """Serve one request in a process that the warm server has forked, and end the process.

    Args:
        descriptor: The socket on which the request comes as well.
        parent: The server's process id.
        load: Gives the handler.
    """
    worker_request.answer_forked(descriptor, parent, load, _serve)


def workload(request: dict[str, Any]) -> tuple[Spec, Path, Limits]:
    """Return the workload of a request."""
    spec = Spec.from_dict(request["spec"], directory=request["directory"])
    return spec, Path(request["rootfs"]), messages.limits_of(request)


def jailed(request: dict[str, Any], spec: Spec, places: Sequence[Place]) -> tuple[Spec, Path]:
    """Return the workload of a request, with its paths in the jail."""
    from wasmoci.isolation.jail.guest import moved  # noqa: PLC0415  18 ms (attrs): most workers need no jail

    compiled.forgo()
    if request["prepared"] is not None:
        *places, file = places
        compiled.provide(request["prepared"], file.path)
    return moved(spec, places), Path(places[0].path)


def _serve(request: dict[str, Any], handler: EngineHandler, channel: socket.socket) -> dict[str, Any]:
    if "task" in request:
        return preparation_tasks.serve(request, handler, channel)
    if request["spec"] is None:
        return {"event": "loaded"}
    spec, rootfs, limits = workload(request)
    bounded = _bound_memory(request, handler, limits, channel)
    descriptor_limit.bound()

    known = modules.made
    bounds = request["preparing"]
    if bounds is not None:
        compile_limits.set((bounds["time"], bounds["memory"]))

    def started() -> None:
        channel.sendall(messages.encode({"event": "started"}))
        if limits.memory is not None and not bounded and not request["jailed"] and hasattr(handler, "bounds"):
            # A Bounding engine: its own limit doesn't count all that it keeps beside the guest's memory and the guest's tables.
            held = memory_limit.bound(2 * limits.memory)
            channel.sendall(messages.encode({"event": "bounded", "held": held, "tells": True}))

    places = confinement.enter(request, {channel.fileno()})
    if places:
        spec, rootfs = jailed(request, spec, places)
    if not isinstance(handler, BaseHandler):
        # Nothing tells when such a handler calls the guest.
        started()
    with on_start(started), on_load(_preparing(request, channel)), applied(messages.determinism_of(request)):
        try:
            result = handler.execute(spec, rootfs, stdio=Stdio.inherit(), limits=limits)
        except MemoryError:
            if not bounded:
                raise
            return {"event": "out-of-memory", "limit": limits.memory}
    # What the server could have had at hand.
    return {**messages.result_message(result), "novel": modules.made > known}


def _bound_memory(request: dict[str, Any], handler: EngineHandler, limits: Limits, channel: socket.socket) -> bool:
    """Limit this process's memory if the engine can't limit the guest's; return whether it is the guest's limit."""
    if limits.memory is not None and Capability.MEMORY_LIMIT not in handler.capabilities:
        channel.sendall(messages.encode({"event": "bounded", "held": memory_limit.bound(limits.memory)}))
        return True
    if request["jailed"]:
        # Should a guest take over the engine, nothing else would hold the limit.
        memory_limit.bound(limits.memory or _MOST, overhead=_OVERHEAD)
    return False


def _preparing(request: dict[str, Any], channel: socket.socket) -> Callable[[EngineHandler, Module, Limits], None]:
    """What is done with a module before it runs: unless that was done before, another process compiles it.

    In the jail no other process can be had: what wasn't compiled before is compiled there, in a time that the caller bounds.
    """
    bounds = request["preparing"]

    def prepare(handler: EngineHandler, module: Module, limits: Limits) -> None:
        if bounds is None:
            return
        if not request["jailed"] and Capability.SANDBOXED in handler.capabilities:
            preparation.prepare(handler, module, limits, Bounds(**bounds))
        elif bounds["time"] is not None and request["prepared"] is None:
            channel.sendall(messages.encode({"event": "compiles"}))

    return prepare
