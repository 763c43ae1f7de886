"""Finds the extension module of ``pywasm3``, which contains wasm3, without importing it."""

from __future__ import annotations

import functools
import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES


@functools.cache
def extension_file() -> str:
    """The host path of the extension module.

    Raises:
        ImportError: ``pywasm3`` isn't installed, or what is called ``wasm3`` is something else.
    """
    spec = importlib.util.find_spec("wasm3")
    if spec is None or spec.origin is None:
        raise ImportError("the package pywasm3 isn't installed: pip install 'wasmoci[wasm3]'")
    if not spec.origin.endswith(tuple(EXTENSION_SUFFIXES)):
        raise ImportError(f"{spec.origin} is not the extension module of pywasm3", name="wasm3", path=spec.origin)
    return spec.origin
