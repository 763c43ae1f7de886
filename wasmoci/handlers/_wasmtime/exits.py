"""``proc_exit`` with all of its code: wasmtime's own refuses codes from 126 on."""

from __future__ import annotations

from wasmoci.handlers._wasmtime import calls
from wasmoci.handlers._wasmtime.run import current_run
from wasmoci.wasi import FUNCTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from wasmoci.handlers._wasmtime.library import Owned

_MODULE, _NAME = "wasi_snapshot_preview1", "proc_exit"


def define(linker: Owned) -> None:
    """Define it in a linker."""
    calls.define(linker, _MODULE, _NAME, FUNCTIONS[_NAME], _function)


def leave(code: int) -> NoReturn:
    """End the guest with a code.

    Raises:
        Trapped: Always.
    """
    current_run().exit_code = code
    raise calls.Trapped.because("the guest exits")


def _proc_exit(_caller: int, code: int) -> None:
    leave(code)


_function = calls.host_function(FUNCTIONS[_NAME], _proc_exit)
