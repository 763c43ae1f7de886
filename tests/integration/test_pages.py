"""What the how-to pages show is what ``wasmoci config`` prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wasmoci.integration import TARGETS, Request, plan

PAGES = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.parametrize("target", TARGETS)
def test_page(tmp_path: Path, target: str) -> None:
    """Each target has a page, whose first configuration is what is printed for the usual path."""
    page = (PAGES / f"{target}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:toml|json|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    printed = plan(target, Request(runtime=Path("/usr/local/bin/wasmoci-runtime"), root=tmp_path)).fragment
    assert blocks[0] == printed
