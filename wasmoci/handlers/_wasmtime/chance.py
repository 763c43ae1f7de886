"""``random_get`` for guests that can be stopped: wasmtime's own fills gigabytes in one call, which nothing interrupts."""

from __future__ import annotations

import os

from wasmoci.handlers._wasmtime import calls
from wasmoci.handlers._wasmtime.inner import WASI
from wasmoci.handlers._wasmtime.run import current_run
from wasmoci.handlers._wasmtime.traps import STOPPED
from wasmoci.wasi import FUNCTIONS, Errno
from wasmoci.wasi.failure import Refusal
from wasmoci.wasi.memory import region

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasmoci.handlers._wasmtime.library import Owned

_NAME = "random_get"
_PIECE = 1 << 20  # bytes that are made in a few milliseconds


def define(linker: Owned) -> None:
    """Define it in a linker, over wasmtime's own."""
    calls.define(linker, WASI, _NAME, FUNCTIONS[_NAME], _function)


def _random_get(caller: int, pointer: int, size: int) -> int:
    run = current_run()
    try:
        where = region(calls.memory_of(caller, required=True), pointer, size)
    except Refusal:
        raise calls.Trapped.because("random_get: pointer out of bounds") from None
    for start in range(0, size, _PIECE):
        if run.stopped:
            raise calls.Trapped.because(STOPPED)
        piece = where[start : start + _PIECE]
        piece[:] = os.urandom(len(piece))
    return Errno.SUCCESS


_function = calls.host_function(FUNCTIONS[_NAME], _random_get)
