"""Runs the conformance kit on wrong handlers, as a third party would on its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
FAILED = re.compile(r"^FAILED \S+?::Test(\w+)::test_(\w+)(?:\[.*?\])? - (.*)$", re.MULTILINE)


def failures(handlers: Path, tests: Iterable[str], *options: str) -> dict[str, dict[str, str]]:
    """Of each class of tests those that failed, with the message of the first of their cases.

    Args:
        handlers: The host file with the handlers and their classes of tests.
        tests: What to run of it, as ``TestName`` or ``TestName::test_name``.
        *options: More of pytest's.
    """
    command = [sys.executable, "-m", "pytest", "-q", *(f"{handlers}::{test}" for test in tests)]
    command += ["-o", f"python_files={handlers.name}", "-o", "addopts=", "--import-mode=importlib"]
    command += ["--tb=no", "-rf", "-p", "no:cacheprovider", *options]
    # As where a third party checks its handler: there pytest shows differences whole, which may not hold it up.
    surroundings = {**os.environ, "COLUMNS": "600", "CI": "true"}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=surroundings, timeout=240)
    found: dict[str, dict[str, str]] = {}
    for name, test, message in FAILED.findall(run.stdout):
        found.setdefault(name, {}).setdefault(test, message)
    return found
