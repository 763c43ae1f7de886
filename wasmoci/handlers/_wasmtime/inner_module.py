"""Calls functions of wasmtime's own WASI from a host function, through a small module.

wasmtime's WASI takes its arguments from the instance that calls it. So a small module of our own calls it for the guest.
"""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasmtime import calls
from wasmoci.wasi import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.run_state import Run

WASI = "wasi_snapshot_preview1"
_CALLS = ("fd_close", "fd_renumber")


def _module() -> str:
    imports, exports = [], []
    for name in _CALLS:
        params = FUNCTIONS[name].params
        kind = f"(param {' '.join(params)}) (result i32)"
        arguments = " ".join(f"(local.get {index})" for index in range(len(params)))
        imports.append(f'(import "{WASI}" "{name}" (func ${name} {kind}))')
        exports.append(f'(func (export "{name}") {kind} (call ${name} {arguments}))')
    # wasmtime's WASI asks each caller for its memory, even where it has no use for one.
    return f'(module $wasmoci {" ".join(imports)} (memory (export "memory") 0 0) {" ".join(exports)})'


MODULE = _module()
"""The module in the text format: it exports the functions that move and close descriptors."""


class LinkedInner:
    """The module for one run, instantiated on first use.

    Args:
        link: Gives the module, linked with wasmtime's WASI.
        run: The run.
    """

    def __init__(self, link: Callable[[], Owned], run: Run) -> None:
        self._link = link
        self._run = run
        self._functions: dict[str, calls.InnerFunction] = {}

    def call(self, name: str, arguments: Sequence[int]) -> int:
        """Call a function for the run's guest.

        Args:
            name: The function.
            arguments: Its arguments, unsigned.

        Returns:
            The errno.

        Raises:
            Trapped: The guest is to end.
        """
        context = self._run.context
        if not self._functions:
            with self._run.instantiating(accounted=False):
                self._instantiate(context)
        return self._functions[name](context, arguments)

    def _instantiate(self, context: int) -> None:
        instance, error = calls.instantiate(self._link(), context)
        if error is not None:
            raise error
        for name in _CALLS:
            exported = calls.exported_function(context, instance, name)
            self._functions[name] = calls.InnerFunction(exported, FUNCTIONS[name])
