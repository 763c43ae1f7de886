"""What is to be known of a bound on a module's memory without setting one; see :mod:`wasmoci.wasm.memory_growth`."""

from __future__ import annotations

from wasmoci.errors import UnsupportedModule

REFUSED_EXPORT = "wasmoci.refused"
"""The global that counts how often a module was refused memory."""


class InitialMemoryTooLarge(UnsupportedModule):
    """A module begins with more memory than its limit allows: it is out of memory before it has run.

    Args:
        message: What it wants and what it may have.
    """
