"""Where wasm3 is: in the extension module of ``pywasm3``, which isn't loaded."""

from __future__ import annotations

import functools
import importlib.util


@functools.cache
def extension_file() -> str:
    """The host path of the extension module.

    Raises:
        ImportError: ``pywasm3`` isn't installed.
    """
    spec = importlib.util.find_spec("wasm3")
    if spec is None or spec.origin is None:
        raise ImportError("the package pywasm3 isn't installed: pip install 'wasmoci[wasm3]'")
    return spec.origin
