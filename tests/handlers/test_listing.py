"""Directories that change while they are listed, on every engine."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import wasmoci

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHANGING = """
import pathlib, sys
directory, number = pathlib.Path(sys.argv[1]), 0
while True:
    (directory / f"file{number % 200}").touch()
    (directory / f"file{number * 7 % 200}").unlink(missing_ok=True)
    number += 1
    if number == 1000:
        print("begun", flush=True)
"""


@pytest.mark.parametrize("count", [300, 1000])
def test_files_are_removed_while_they_are_listed(
    engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path], count: int
) -> None:
    """None is left out, and two listings in a row have all."""
    bundle = make_bundle(guest("listing"), args=("empty", str(count)), directories=["/many"])
    result = wasmoci.run(bundle, engine=engine)
    assert result.stdout == f"{count} {count} {count} 0\n".encode(), result


def test_another_process_changes_what_is_listed(
    engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    """A file that goes away meanwhile is no error: such is the volume of a side-car."""
    bundle = make_bundle(guest("listing"), args=("watch", "50"), directories=["/many"])
    command = [sys.executable, "-c", CHANGING, str(bundle / "rootfs/many")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"begun\n"
            result = wasmoci.run(bundle, engine=engine)
        finally:
            other.kill()
    assert result.stdout == b"0 failed\n", result
