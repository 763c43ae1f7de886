"""What the runtime tells of itself."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

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
    """The native runtime's options and commands, and our own options."""
    text = runtime.ok(option)
    assert all(word in text for word in ("--systemd-cgroup", "update", "--handler NAME", "--native-runtime NAME"))


def test_features(runtime: Runtime) -> None:
    """The native runtime's features, with our version and engines among the annotations."""
    document = json.loads(runtime.ok("features"))
    assert document["ociVersionMin"] == "1.0.0"
    annotations = document["annotations"]
    assert annotations["org.wasmoci.version"] == version("wasmoci")
    assert {"wasm3", "wasmer", "wasmtime"} <= set(annotations["org.wasmoci.engines"].split(","))
