"""What the runtime tells of itself."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from tests.runtime.containers import PROGRAM

if TYPE_CHECKING:
    from tests.runtime.containers import Runtime


@pytest.mark.parametrize("option", ["--version", "-v"])
def test_version(runtime: Runtime, option: str) -> None:
    """Both versions, ours first; the specification's as the native runtime has it."""
    lines = runtime.ok(option).splitlines()
    assert lines[0] == f"wasmoci-runtime version {version('wasmoci')}"
    assert lines[1].startswith("native: runc version ")
    assert any(line.startswith("spec: 1.") for line in lines)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(runtime: Runtime, option: str) -> None:
    """What this program does, its own options, and where those of the native runtime are told."""
    text = runtime.ok(option)
    assert text.startswith("Usage: wasmoci-runtime ")
    assert all(word in text for word in ("update", "--handler NAME", "--native-runtime NAME", "runc --help"))


def test_help_without_a_native_runtime() -> None:
    """It is needed most where something is missing."""
    done = subprocess.run([*PROGRAM, "--help"], env={"PATH": "/nowhere"}, capture_output=True, check=False)
    assert (done.returncode, b"none of which is installed" in done.stdout) == (0, True)


def test_features(runtime: Runtime) -> None:
    """The native runtime's features, with our version and engines among the annotations."""
    document = json.loads(runtime.ok("features"))
    assert document["ociVersionMin"] == "1.0.0"
    annotations = document["annotations"]
    assert annotations["org.wasmoci.version"] == version("wasmoci")
    assert {"wasm3", "wasmer", "wasmtime"} <= set(annotations["org.wasmoci.engines"].split(","))
