"""The conformance kit catches wrong handlers, each by the test that is named for what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import usable
from tests.support.once import once
from tests.support.requirements import SMOKE
from tests.testing.caught import ALSO, CAUGHT

ROOT = Path(__file__).parents[2]
HANDLERS = Path(__file__).with_name("wrong_handlers.py")

# What the kit catches doesn't differ between Pythons: of each kind of test one is enough on the others.
TRIED = ("ExitCodeLost", "ReadOnlyRootIgnored", "DescriptorLeaked", "TimeLimitIgnored") if SMOKE else tuple(CAUGHT)


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of each wrong handler the tests that failed, with their messages."""
    usable("wasmtime")
    return once(tmp_path_factory, "wrong-handlers", _measured)


def _measured() -> dict[str, dict[str, str]]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *(f"{HANDLERS}::Test{name}" for name in ("Wrong", *TRIED)),
        "-o",
        "python_files=wrong_handlers.py",
        "-o",
        "addopts=",
    ]
    command += ["--import-mode=importlib", "--tb=no", "-rf", "-p", "no:cacheprovider"]
    command += ["-k", "not worker and not waits"]  # a worker process can't import these handlers
    # As where a third party checks its handler: there pytest shows differences whole, which may not hold it up.
    surroundings = {**os.environ, "COLUMNS": "400", "CI": "true"}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=surroundings, timeout=240)
    found: dict[str, dict[str, str]] = {name: {} for name in ("Wrong", *TRIED)}
    pattern = re.compile(r"^FAILED \S+::Test(\w+)::test_(\w+?)(?:\[.*?\])? - (.*)$", re.MULTILINE)
    for handler, test, message in pattern.findall(run.stdout):
        found[handler].setdefault(test, message)
    assert found["Wrong"] == {}, "a handler that changes nothing passes"
    return found


@pytest.mark.parametrize("handler", TRIED)
@pytest.mark.timeout(300)
def test_wrong_handler_is_caught_by_name(failures: dict[str, dict[str, str]], handler: str) -> None:
    """The tests that are named for it fail and say what is wrong, and no others of their parts of the kit do."""
    names, message = CAUGHT[handler]
    assert names <= set(failures[handler]) <= names | ALSO.get(handler, set())
    assert re.search(message, " ".join(failures[handler].values()))
