"""SHA-256 without OpenSSL, where that takes longer to be loaded than to count what it would save."""

from __future__ import annotations

import contextlib
import importlib
import sys

_OWN = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
_WORTH_IT = 1 << 19
"""Bytes for which Python's own code takes as long as OpenSSL's, five times as fast, takes to be loaded (2 ms)."""


def hexdigest(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    if len(data) < _WORTH_IT and "hashlib" not in sys.modules:
        # A Python may be built without it.
        with contextlib.suppress(ImportError):
            own: str = importlib.import_module(_OWN).sha256(data).hexdigest()
            return own
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(data).hexdigest()
