"""Computes SHA-256 without OpenSSL, which takes longer to load than it saves on a small module."""

from __future__ import annotations

import sys
from importlib import import_module

_BUILT_IN = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
_LARGE = 1 << 19
"""Bytes for which Python's own code takes as long as OpenSSL takes to be loaded (2.7 ms); from there on it is five times as fast."""


def hexdigest(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal.

    Args:
        data: The bytes.
    """
    name = "hashlib" if len(data) >= _LARGE or "hashlib" in sys.modules else _BUILT_IN
    try:
        module = import_module(name)
    except ImportError:  # a Python may be built without its own
        module = import_module("hashlib")
    digest: str = module.sha256(data).hexdigest()
    return digest
