"""A program that has run a guest ends as if it hadn't."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import LIMIT, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM = """
import sys, wasmoci
result = wasmoci.run(sys.argv[1], engine=sys.argv[2], isolation=sys.argv[3])
sys.exit(result.exit_code)
"""


@pytest.mark.parametrize("isolation", ["inline", "process"])
@pytest.mark.parametrize("name", ["exit", "trap"])
def test_exit_of_the_caller(
    engine: str, name: str, isolation: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    """Right after a run with captured output the interpreter ends without a crash and without a word."""
    bundle = make_bundle(guest(name), args=["7"])
    for _ in range(3):
        command = [sys.executable, "-c", PROGRAM, str(bundle), engine, isolation]
        result = subprocess.run(command, capture_output=True, check=False, timeout=LIMIT, env=environment())
        assert (result.returncode, result.stderr) == (7 if name == "exit" else 134, b"")
