"""Receives, serves and answers the one request of a worker process."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from wasmoci import compiled
from wasmoci.errors import WasmociError
from wasmoci.isolation import messages
from wasmoci.text import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.handlers.contract import EngineHandler

    Serve = Callable[[dict[str, Any], EngineHandler, socket.socket], dict[str, Any]]
    """Does what a request asks for, with a handler and the socket to the caller, and gives the answer."""

_CHUNK = 1 << 16
_TAIL = 1 << 16  # characters of a traceback that are told
_SET_PARENT_DEATH_SIGNAL = 1


def answer(
    channel: socket.socket, request: Callable[[], dict[str, Any]], load: Callable[[], EngineHandler], serve: Serve
) -> NoReturn:
    """Serve a request, and end the process.

    Args:
        channel: The socket to answer on.
        request: Gives the request; called first.
        load: Gives the handler.
        serve: Serves it.
    """
    # The standard error is the guest's.
    log.listen(lambda text: channel.sendall(messages.encode({"event": "warning", "text": text})))
    # Ctrl-C ends the guest at once, not at the next time Python looks; the caller reports it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        message = messages.encode(serve(request(), load(), channel))
    except WasmociError as error:
        message = messages.encode(messages.error_message(error))
    except BaseException:  # noqa: BLE001  whatever a handler does, its caller is to hear of it
        message = messages.encode({"event": "crash", "traceback": traceback.format_exc()[-_TAIL:]})
    channel.sendall(message)
    # An engine's threads and exit handlers have nothing left to do that the caller would want to wait for.
    os._exit(0)


def answer_forked(descriptor: int, parent: int, load: Callable[[], EngineHandler], serve: Serve) -> NoReturn:
    """The same in a process that was forked, and that gets its request by the socket as well.

    Args:
        descriptor: The socket.
        parent: The process id of whoever has forked this process.
        load: Gives the handler.
        serve: Serves the request.
    """
    die_with(parent)
    compiled.forked()
    channel = socket.socket(fileno=descriptor)

    def receive() -> dict[str, Any]:
        request = _receive(channel)
        take_environment(request)
        return request

    answer(channel, receive, load, serve)


def take_environment(request: dict[str, Any]) -> None:
    """Take over the caller's environment."""
    os.environ.clear()
    os.environ.update(request["environment"])


def _receive(channel: socket.socket) -> dict[str, Any]:
    decoder = messages.Decoder()
    while data := channel.recv(_CHUNK):
        for message in decoder.feed(data):
            return message
    os._exit(1)  # whoever asked is gone


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends in whatever way.

    Args:
        parent: The process id that the parent had when it started this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
