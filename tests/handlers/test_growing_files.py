"""Files that can't grow any more, on every engine."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMITED = """
import resource, sys, wasmoci
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
result = wasmoci.run(sys.argv[1], engine=sys.argv[2], isolation="inline")
print(result.reason.name, result.stdout.decode().strip())
"""
LIMIT = 8192


@pytest.mark.parametrize("how", ["many", "few", "lost"])
def test_a_write_that_fails_is_told(
    engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path], how: str
) -> None:
    """By a write, or when the file is closed; a guest that hasn't waited for either hasn't ended well."""
    bundle = make_bundle(guest("growing"), args=(how,))
    _run(bundle, engine, 1 << 30)  # what it compiles is larger, and kept
    (bundle / "rootfs/file").unlink()
    found = _run(bundle, engine, LIMIT)
    assert (bundle / "rootfs/file").stat().st_size == LIMIT
    assert found == ("TRAPPED not told" if (engine, how) == ("wasmer", "lost") and "not" in found else "EXITED told")


def _run(bundle: Path, engine: str, limit: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(bundle), engine, str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_was_written_can_be_read(
    engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    """All of it, in order."""
    bundle = make_bundle(guest("growing"), args=("many",))
    assert _run(bundle, engine, 1 << 30) == "EXITED not told"
    assert (bundle / "rootfs/file").read_bytes() == bytes(100 * 4096)
