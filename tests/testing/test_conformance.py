"""The conformance kit catches wrong handlers, each by the test that is named for what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import usable
from tests.support.measured_once import once
from tests.support.requirements import SMOKE
from tests.testing.caught import ALSO, CAUGHT
from tests.testing.failures import failures

pytestmark = [pytest.mark.heavy, pytest.mark.smoke]

HANDLERS = Path(__file__).with_name("wrong_handlers.py")

# What the kit catches doesn't differ between Pythons: of each kind of test one is enough on the others.
TRIED = ("ExitCodeLost", "ReadOnlyRootIgnored", "DescriptorLeaked", "TimeLimitIgnored") if SMOKE else tuple(CAUGHT)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of each wrong handler the tests that failed, with their messages."""
    usable("wasmtime")
    tests = [f"Test{name}" for name in ("Wrong", *TRIED)]
    # A worker process can't import these handlers.
    return once(tmp_path_factory, "wrong-handlers", lambda: failures(HANDLERS, tests, "-k", "not worker and not waits"))


@pytest.mark.timeout(300)
def test_handler_that_changes_nothing_passes(found: dict[str, dict[str, str]]) -> None:
    """What the others are derived from isn't wrong."""
    assert "Wrong" not in found


@pytest.mark.parametrize("handler", TRIED)
@pytest.mark.timeout(300)
def test_wrong_handler_is_caught_by_name(found: dict[str, dict[str, str]], handler: str) -> None:
    """The tests that are named for it fail and say what is wrong, and no others of their parts of the kit do."""
    names, message = CAUGHT[handler]
    assert names <= set(found[handler]) <= names | ALSO.get(handler, set())
    assert re.search(message, " ".join(found[handler].values()))
