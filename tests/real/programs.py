"""Runs programs, and waits for what they bring about."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.support.requirements import require
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNTIME = Path(sys.executable).with_name("wasmoci-runtime")
FORCING = Path(sys.executable).with_name("wasmoci-wasm")

Done = subprocess.CompletedProcess[str]


def program(name: str, package: str = "") -> str:
    """The path of a program; a missing one skips the test.

    Args:
        name: Its name.
        package: Debian's package that has it, when that is called otherwise.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    require(found, f"{name} is missing: apt install {package or name}")
    assert found is not None
    return found


def run(
    *command: str | Path,
    check: bool = True,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Done:
    """Run a program to its end, its output captured.

    Args:
        command: The program and its arguments.
        check: Fail the test when its status isn't 0.
        stdin: Its standard input; nothing by default.
        environment: Its whole environment; the test's own by default.
        directory: Where it runs.
    """
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        input=stdin or "",
        check=False,
        timeout=PATIENCE,
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def run_into(output: IO[bytes], *command: str, environment: Mapping[str, str], directory: Path) -> int:
    """Run a program whose descendants may live on with its streams, and give its status.

    Args:
        output: The file that gets both its streams.
        command: The program and its arguments.
        environment: Its whole environment.
        directory: Where it runs.
    """
    done = subprocess.run(
        command,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode
