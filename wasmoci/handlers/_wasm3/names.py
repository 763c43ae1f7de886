"""Defines the marked names under which wasm3 finds functions; see :mod:`wasmoci.handlers._wasm3.encoding`."""

from __future__ import annotations

PREFIX = "export "


def unmarked(name: str) -> str:
    """Return a function's original name."""
    return name.removeprefix(PREFIX)
