"""The page that compares the engines says what the kit finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import usable

pytestmark = pytest.mark.heavy

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "engines-compared.md"
ENGINES = ("wasmtime", "wasmer", "wasm3")


def report(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it."""
    command = [sys.executable, "-m", "wasmoci.testing.report", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the page is made on Python 3.11")
@pytest.mark.timeout(300)
def test_page_is_up_to_date() -> None:
    """Made again, it is the same: python -m wasmoci.testing.report wasmtime wasmer wasm3."""
    for engine in ENGINES:
        usable(engine)
    assert report(*ENGINES).stdout == PAGE.read_text(encoding="utf-8")


def test_unknown_engine() -> None:
    """Its error says which engines there are, without a traceback."""
    result = report("unheard-of")
    assert result.returncode == 2
    assert "no engine is called 'unheard-of'" in result.stderr
    assert "Traceback" not in result.stderr


def test_json_has_an_engine(tmp_path: Path) -> None:
    """The same for tools."""
    usable("wasm3")
    (engine,) = json.loads(report("--json", "wasm3").stdout)
    assert (engine["engine"], engine["failed"]) == ("wasm3", {})
    assert "wasi-preview1" in engine["capabilities"]
