"""The worker process: runs one guest, and tells its caller how that went.

Started as ``python -I -c BOOT FD``, or forked by :mod:`.server`: the request comes, and the answer goes, through the socket
``FD``. The guest's streams are the process's own descriptors 0, 1 and 2.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from wasmoci import compiled, warning
from wasmoci.capabilities import Capability
from wasmoci.determinism import applied
from wasmoci.entrypoint import modules
from wasmoci.errors import WasmociError
from wasmoci.handlers.base import BaseHandler, from_reference, on_start
from wasmoci.isolation import descriptors, memory, messages
from wasmoci.spec import Spec
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers.base import EngineHandler
    from wasmoci.limits import Limits


_CHUNK = 1 << 16


def main(descriptor: int, parent: int, request: dict[str, Any]) -> NoReturn:
    """Serve one request, and end the process.

    Args:
        descriptor: The socket to answer on.
        parent: The caller's process id.
        request: See :func:`wasmoci.isolation.messages.request`.
    """
    _die_with(parent)
    _answer(socket.socket(fileno=descriptor), lambda: request, lambda: from_reference(request["handler"]))


def main_forked(descriptor: int, parent: int, load: Callable[[], EngineHandler]) -> NoReturn:
    """The same in a process that the warm server has forked.

    Args:
        descriptor: The socket on which the request comes as well.
        parent: The server's process id.
        load: Gives the handler.
    """
    _die_with(parent)
    compiled.forked()
    channel = socket.socket(fileno=descriptor)

    def receive() -> dict[str, Any]:
        request = _receive(channel)
        surround(request)
        return request

    _answer(channel, receive, load)


def _answer(
    channel: socket.socket, receive: Callable[[], dict[str, Any]], load: Callable[[], EngineHandler]
) -> NoReturn:
    # The standard error is the guest's.
    warning.listen(lambda text: channel.sendall(messages.encode({"event": "warning", "text": text})))
    # Ctrl-C ends the guest at once, not at the next time Python looks; the caller reports it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        answer = messages.encode(_serve(receive(), load(), channel))
    except WasmociError as error:
        answer = messages.encode(messages.error_message(error))
    except BaseException:  # noqa: BLE001  whatever a handler does, its caller is to hear of it
        answer = messages.encode({"event": "crash", "traceback": traceback.format_exc()})
    channel.sendall(answer)
    # An engine's threads and exit handlers have nothing left to do that the caller would want to wait for.
    os._exit(0)


def surround(request: dict[str, Any]) -> None:
    """Have the environment of whoever asks."""
    os.environ.clear()
    os.environ.update(request["environment"])


def workload(request: dict[str, Any]) -> tuple[Spec, Path, Limits]:
    """What is to be run."""
    spec = Spec.from_dict(request["spec"], directory=request["directory"])
    return spec, Path(request["rootfs"]), messages.limits_of(request)


def _receive(channel: socket.socket) -> dict[str, Any]:
    decoder = messages.Decoder()
    while data := channel.recv(_CHUNK):
        for message in decoder.feed(data):
            return message
    os._exit(1)  # whoever asked is gone


def _serve(request: dict[str, Any], handler: EngineHandler, channel: socket.socket) -> dict[str, Any]:
    if request["spec"] is None:
        return {"event": "loaded"}
    spec, rootfs, limits = workload(request)
    bounded = limits.memory is not None and Capability.MEMORY_LIMIT not in handler.capabilities
    descriptors.bound()

    known = modules.made

    def started() -> None:
        channel.sendall(messages.encode({"event": "started"}))
        if limits.memory is not None and not bounded and hasattr(handler, "bounds"):
            # A Bounding engine: its own limit doesn't count all that it keeps beside the guest's memory and the guest's tables.
            held = memory.bound(2 * limits.memory)
            channel.sendall(messages.encode({"event": "bounded", "held": held, "tells": True}))

    if not isinstance(handler, BaseHandler):
        # Nothing tells when such a handler calls the guest.
        started()
    if bounded and limits.memory is not None:
        channel.sendall(messages.encode({"event": "bounded", "held": memory.bound(limits.memory)}))
    with on_start(started), applied(messages.determinism_of(request)):
        try:
            result = handler.execute(spec, rootfs, stdio=Stdio.inherit(), limits=limits)
        except MemoryError:
            if not bounded:
                raise
            return {"event": "out-of-memory", "limit": limits.memory}
    # What the server could have had at hand.
    return {**messages.result_message(result), "novel": modules.made > known}


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its caller ends in whatever way."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
