"""SHA-256 without OpenSSL."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from wasmoci._startup import sha256


@pytest.mark.parametrize("size", [0, 1, (1 << 19) - 1, 1 << 19, (1 << 19) + 1])
def test_digest(size: int) -> None:
    """It is that of hashlib, whichever code counts it."""
    data = b"\xa5" * size
    script = f"from wasmoci._startup import sha256; print(sha256.hexdigest(b'\\xa5' * {size}))"
    alone = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert alone == sha256.hexdigest(data) == hashlib.sha256(data).hexdigest()
