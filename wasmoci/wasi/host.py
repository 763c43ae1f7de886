"""What the host functions share: the guest's memory and what the guest was given."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.memory import NoMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.wasi.clocks import Clocks
    from wasmoci.wasi.descriptors import Table


class Host:
    """One guest's host.

    Args:
        args: The guest's arguments, each without NUL bytes.
        environ: Its environment, as ``NAME=value``.
        table: Its descriptors.
        clocks: Its time.
        random: Its random bytes: given a size, that many.
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
        #: Gives the guest's whole memory; fetched anew by each call, for the memory may have moved.
        self.view: Callable[[], memoryview] = NoMemory().view
