"""Runs pytest on a project of its own, with the plug-in as it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import ENGINES, usable
from tests.support.guests import zig_environment
from wasmoci.dispatch import registry
from wasmoci.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _project(monkeypatch: pytest.MonkeyPatch) -> None:
    """All engines are here, and the project's pytest isn't told anything by the environment."""
    for engine in ENGINES:
        usable(engine)
    for name in ("WASMOCI_ENGINE", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in zig_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CI", "1")  # differences are shown whole


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs a project's tests, with warnings as errors: ``run(test_file, *options, ini="")``; on ours, if it doesn't say."""

    def run(test: str, *options: str, ini: str = "") -> pytest.RunResult:
        engines = "" if "wasm_engines" in ini else f"wasm_engines = {' '.join(ENGINES)}"
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{engines}\n{ini}")
        pytester.makepyfile(test_project=test)
        # At its end the inner session's faulthandler would put back the signal handlers from before wasmtime's.
        return pytester.runpytest_inprocess("-p", "no:faulthandler", "--strict-markers", "-rs", *options)

    return run


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has engines missing: ``without("wasm3")``."""

    def remove(*names: str) -> None:
        for name in names:
            error = EngineUnavailable(f"the engine {name!r} can't be loaded: gone", hint=f"pip install {name}")
            monkeypatch.setitem(registry.default()._loaded, name, error)

    return remove
