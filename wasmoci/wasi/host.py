"""The state that the host functions share: the guest's memory, arguments, environment, descriptors and clocks."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.memory import NoMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.wasi.clocks import Clocks
    from wasmoci.wasi.descriptors import Table


class Host:
    """The state of one guest.

    Args:
        args: The guest's arguments, each without NUL bytes.
        environ: Its environment, as ``NAME=value``.
        table: Its descriptors.
        clocks: Its clocks.
        random: Returns as many random bytes as requested.
    """

    def __init__(
        self,
        args: list[bytes],
        environ: list[bytes],
        table: Table,
        clocks: Clocks,
        random: Callable[[int], bytes],
    ) -> None:
        self.args = args
        self.environ = environ
        self.table = table
        self.clocks = clocks
        self.random = random
        #: Returns the guest's whole memory; called by each host function, because the memory may have moved.
        self.view: Callable[[], memoryview] = NoMemory().view
