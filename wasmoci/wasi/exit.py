"""How a guest ends by itself."""

from __future__ import annotations


class ProcExit(Exception):
    """The guest called ``proc_exit``.

    Raised through the engine, out of the call that entered the guest; the engine has to let it pass, or to hand it
    back afterwards.

    Args:
        code: The exit code, all 32 bits of it, unsigned.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
