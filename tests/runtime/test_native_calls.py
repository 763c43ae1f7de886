"""What the native runtime is asked when a container has run: nothing, where its end tells all."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.runtime.containers import Runtime

RECORDER = """#!/bin/sh
printf '%s\\n' "$*" >>"$(dirname "$0")/calls"
exec {native} "$@"
"""


@pytest.mark.parametrize(
    ("guest", "args", "options", "asked"),
    [
        ("hello", [], [], 0),
        ("exit", ["7"], [], 1),  # the native runtime's own failures look the same
        ("hello", [], ["--keep"], 1),
        ("hello", [], ["--detach"], 1),
    ],
)
def test_state_is_asked_for_where_it_is_not_known(
    runtime: Runtime, guest: str, args: list[str], options: list[str], asked: int
) -> None:
    """A container that ended with 0 in the foreground was removed, and is known to be; of any other it is asked once."""
    directory = runtime.directory / "native"
    directory.mkdir()
    native = directory / "runc"
    native.write_text(RECORDER.format(native=shutil.which("runc")), encoding="utf-8")
    native.chmod(0o755)
    runtime.native = str(native)
    done = runtime.call("run", *options, "--bundle", runtime.bundle(guest, *args), "c")
    assert done.returncode == (7 if args else 0)
    calls = (directory / "calls").read_text(encoding="utf-8").splitlines()
    assert sum(call.split()[-2:] == ["state", "c"] for call in calls) == asked
    if options:
        runtime.ok("delete", "--force", "c")
