"""The examples in the documentation do what it says."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.conftest import usable
from tests.docs.examples import examples, run
from tests.support.bundles import write_bundle
from tests.support.guests import build
from tests.support.requirements import require
from tests.trust.bombs import nested_loops

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if examples(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.timeout(600)
def test_examples(page: Path, tmp_path: Path) -> None:
    """Every example of a page runs, and prints what stands there."""
    usable("wasmtime")
    require(importlib.util.find_spec("ziglang"), "the tutorial needs ziglang: pip install ziglang")
    if page.name != "tutorial.md":  # there the reader makes the bundle
        write_bundle(tmp_path / "bundle", build("show"))
        write_bundle(tmp_path / "loop", build("loop"))
        write_bundle(tmp_path / "bomb", nested_loops(1200))
        write_bundle(tmp_path / "hungry", build("allocate"), args=["abort"])
        write_bundle(tmp_path / "server", build("serve"))
        shutil.copy(build("show"), tmp_path / "app.wasm")
    run(page, tmp_path)
