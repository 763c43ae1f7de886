"""The runtime over each native runtime that works here."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.runtime.containers import NOTHING, Runtime
from tests.support.decisions import forgotten
from tests.support.requirements import require
from tests.support.waiting import settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A compile cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WASMOCI_CACHE", str(tmp_path_factory.mktemp("cache")))
        with forgotten():
            yield


@pytest.fixture
def runtime(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """The runtime over runc, or over the native runtime that a parameter names; in the end nothing is left of what it did."""
    native = getattr(request, "param", "runc")
    require(shutil.which(native) and os.geteuid() == 0, f"containers need {native}, and root: apt install {native}")
    made = Runtime(tmp_path, native)
    yield made
    for state in made.root.iterdir():
        made.call("delete", "--force", state.name)
    assert settled(made.remains, NOTHING) == NOTHING
