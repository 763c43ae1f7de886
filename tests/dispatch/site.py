"""Directories of distributions that register handlers, and scripts that are run among them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
OURS = {"wasmtime", "wasmer", "wasm3"}

GOOD = """
from wasmoci.handlers.capabilities import Capability
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Stdio

class Handler:
    "Keeps the contract, and takes nothing from wasmoci but its vocabulary."
    name = NAME
    capabilities = frozenset({Capability.WASI_PREVIEW1, Capability.LIVE_FILES})
    engine_version = "9.1"

    def validate(self, module):
        pass

    def execute(self, spec, rootfs, *, stdio=Stdio.inherit(), limits=None):
        with stdio.open() as streams:
            streams.stdout.write(b"from " + self.name.encode())
            return ExecutionResult(
                exit_code=7, reason=ExitReason.EXITED, engine=self.name,
                stdout=streams.stdout.captured, stderr=streams.stderr.captured,
            )
"""


class Site:
    """A directory of distributions.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def add(self, distribution: str, name: str, code: str | None = GOOD, *, reference: str | None = None) -> None:
        """Install a distribution with one handler, in a module of the distribution's name; None for no module."""
        info = self.path / f"{distribution}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(
            f"[wasmoci.handlers]\n{name} = {reference or f'{distribution}:Handler'}\n"
        )
        if code is not None:
            (self.path / f"{distribution}.py").write_text(code.replace("NAME", repr(name)))

    def run(self, script: str, *paths: Path, **variables: str) -> Any:
        """Run a script among these distributions; gives what it prints, as JSON."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (self.path, *paths, REPOSITORY))),
            "XDG_CACHE_HOME": str(self.path.parent / "cache"),
            "PYTHONWARNINGS": "error",
            **variables,
        }
        environment.pop("WASMOCI_ENGINE", None)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)
