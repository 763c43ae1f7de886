"""Fixtures for all tests."""

from __future__ import annotations

import itertools
import os
import tempfile
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.bundles import write_bundle
from tests.support.guests import build
from tests.support.heavy import ENGINES, left_out
from tests.support.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

collect_ignore = ["core_only"]  # for an environment without engines: nox -s core_only

# A machine that is busy is no failure.
hypothesis.settings.register_profile("wasmoci", deadline=None)
hypothesis.settings.load_profile("wasmoci")

# Nothing compiled is kept behind the tests, and what is kept of others has no part in them. A program that a test starts, and
# may kill, has that of the tests, if it comes here at all.
_SESSION = os.environ.get("PYTEST_XDIST_WORKER", "alone")
if os.environ.get("WASMOCI_TESTS_SESSION") != _SESSION:
    _CACHE = tempfile.TemporaryDirectory(prefix="wasmoci-tests-", ignore_cleanup_errors=True)
    os.environ.update(WASMOCI_CACHE=_CACHE.name, WASMOCI_TESTS_SESSION=_SESSION)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this Python needn't repeat."""
    left = left_out(items)
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def guest() -> Callable[..., Path]:
    """Compiles a guest: ``guest(name, toolchain="clang")`` gives its ``.wasm`` file."""
    return build


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Writes bundles: ``make_bundle(wasm, args=..., ...)`` gives the directory; see :func:`write_bundle`."""
    numbers = itertools.count()

    def make(wasm: Path | bytes, **options: object) -> Path:
        return write_bundle(tmp_path / f"bundle{next(numbers) or ''}", wasm, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine that is usable here; the test runs once for each of ours."""
    name: str = request.param
    usable(name)
    return name


def usable(name: str) -> None:
    """Go on when an engine can be used here; else skip, or fail where all have to be there."""
    from wasmoci.dispatch import registry  # noqa: PLC0415  costs time that most tests needn't spend

    status = registry.default().status(name)
    require(status.available, f"{status.reason}; {status.hint}")
