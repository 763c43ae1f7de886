"""Defines the exception that ends a guest when it exits."""

from __future__ import annotations


class ProcExit(Exception):
    """The guest called ``proc_exit``.

    It is raised through the engine, out of the call that entered the guest. The engine has to let it pass, or to raise
    it again afterwards.

    Args:
        code: The exit code, all 32 bits of it, unsigned.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
