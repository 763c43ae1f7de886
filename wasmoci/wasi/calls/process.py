"""Implements ``proc_*``: the end of the guest, and signals."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import U32, Errno
from wasmoci.wasi.exit import ProcExit

if TYPE_CHECKING:
    from wasmoci.wasi.host import Host


class Process:
    """The guest's process."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def proc_exit(self, code: int) -> None:
        """End the guest by raising :exc:`ProcExit` through the engine."""
        raise ProcExit(code & U32)

    def proc_raise(self, signal: int) -> int:  # noqa: ARG002
        """Send a signal to the guest: always ``NOTSUP``, as in wasmtime, because WASI can't receive signals."""
        return Errno.NOTSUP
