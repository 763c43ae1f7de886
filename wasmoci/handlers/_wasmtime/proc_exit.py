"""Implements ``proc_exit`` for all exit codes, because wasmtime's own refuses codes from 126 on."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasmtime import calls
from wasmoci.wasi import FUNCTIONS

if TYPE_CHECKING:
    from typing import NoReturn

    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.run_state import Run

_MODULE, _NAME = "wasi_snapshot_preview1", "proc_exit"


def define(linker: Owned) -> None:
    """Define it in a linker."""
    calls.define(linker, _MODULE, _NAME, FUNCTIONS[_NAME], _functions[_NAME])


def _proc_exit(_run: Run, _caller: int, code: int) -> NoReturn:
    raise calls.Exited(code)


_functions = calls.host_functions({_NAME: (FUNCTIONS[_NAME], _proc_exit)})
