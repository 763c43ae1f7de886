"""Defines what callers need to know about memory limits written into modules; see :mod:`wasmoci.wasm.memory_growth`."""

from __future__ import annotations

from wasmoci.errors import UnsupportedModule

REFUSED_EXPORT = "wasmoci.refused"
"""The exported global that counts the refused requests for memory."""


class InitialMemoryTooLarge(UnsupportedModule):
    """A module's initial memory exceeds its limit, so it is out of memory before it has run.

    Args:
        message: What it needs, and what its limit is.
    """
