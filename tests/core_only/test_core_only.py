"""What the package does with no engine installed. Run by ``nox -s core_only``, in an environment without any."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import wasmoci

if TYPE_CHECKING:
    from pathlib import Path

EMPTY_MODULE = b"\0asm\1\0\0\0" + bytes.fromhex(
    "01040160 0000 0302 0100 070a 0106 5f737461 7274 0000 0a04 0102 000b".replace(" ", "")
)
"""``(module (func (export "_start")))``"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with the least module."""
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "rootfs" / "app.wasm").write_bytes(EMPTY_MODULE)
    document = {
        "ociVersion": "1.0.2",
        "process": {"args": ["/app.wasm"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "annotations": {"run.oci.handler": "wasm"},
    }
    (tmp_path / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


def test_no_engine_here() -> None:
    """The environment is the one that these tests are about."""
    assert [status.name for status in wasmoci.engines() if status.available] == []


def test_classifies(bundle: Path) -> None:
    """Classification needs no engine."""
    assert wasmoci.classify(wasmoci.Spec.load(bundle / "config.json")).kind is wasmoci.Kind.WASM


def test_explains(bundle: Path) -> None:
    """An explanation needs no engine, and says of each one how to get it."""
    explanation = wasmoci.explain(bundle)
    assert explanation.runs_on is None
    assert explanation.module["kind"] == "core module"
    assert "pip install" in explanation.hint


def test_run_says_what_to_install(bundle: Path) -> None:
    """A run fails with the command that would mend it."""
    with pytest.raises(wasmoci.NoSuitableEngine, match=r"pip install 'wasmoci\[all\]'"):
        wasmoci.run(bundle)


@pytest.mark.parametrize("name", ["wasmtime", "wasmer", "wasm3"])
def test_named_engine_says_what_to_install(bundle: Path, name: str) -> None:
    """So does a run on an engine that was named."""
    with pytest.raises(wasmoci.EngineUnavailable, match=rf"pip install 'wasmoci\[{name}\]'"):
        wasmoci.run(bundle, engine=name)


def test_command(bundle: Path) -> None:
    """The command exits with 126, and its message is one line and a hint."""
    result = subprocess.run(
        [sys.executable, "-m", "wasmoci", "run", str(bundle)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 126
    assert result.stdout == ""
    assert result.stderr.startswith("wasmoci: error: no engine can run the workload")
    assert "pip install 'wasmoci[all]'" in result.stderr


def test_doctor() -> None:
    """The doctor tells how to get each engine, and that one is needed."""
    result = subprocess.run([sys.executable, "-m", "wasmoci", "doctor"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install 'wasmoci[wasmtime]'" in result.stdout


@pytest.mark.parametrize(("options", "outcome"), [((), "1 skipped"), (("--wasm-strict",), "1 error")])
def test_pytest_plugin(tmp_path: Path, options: tuple[str, ...], outcome: str) -> None:
    """A test of a guest is skipped, or fails where it may not be, with what to install."""
    (tmp_path / "test_it.py").write_text("def test_it(wasm_run): pass", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-rs", "-W", "error", *options, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert outcome in result.stdout
    assert "no engine is installed: pip install 'wasmoci[wasmtime]', or another engine" in result.stdout
