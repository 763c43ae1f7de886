"""Tests whether the jail works on this machine, and what it consists of."""

from __future__ import annotations

import json
import subprocess
import sys

import attrs

from wasmoci.isolation.jail.support import support
from wasmoci.isolation.new_worker import environment, options

_LONGEST = 60.0  # seconds that a process may take to start, on a machine that is busy
_TRY = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
sys.prefix, sys.exec_prefix = sys.argv[2:]
from wasmoci.errors import JailUnavailable
from wasmoci.isolation.jail.entering import enter
try:
    told = {"apart": enter([], {0, 1, 2}).is_apart}
except JailUnavailable as error:
    told = {"problem": error.message}
print(json.dumps(told))
"""


@attrs.frozen(kw_only=True)
class Trial:
    """The result of the test.

    Args:
        detail: What the jail is made of; empty when there is none.
        problem: Why there is none; empty when there is one.
        is_apart: Whether the guest's process has a root of its own. Otherwise it sees that files of the host are there.
    """

    detail: str = ""
    problem: str = ""
    is_apart: bool = False


def attempt() -> Trial:
    """Put a process into the jail, and return the result."""
    if support().problem:
        return Trial(problem=support().problem)
    command = [sys.executable, *options(), "-c", _TRY, json.dumps(sys.path), sys.prefix, sys.exec_prefix]
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter
            command, env=environment(jailed=True), capture_output=True, text=True, timeout=_LONGEST, check=True
        )
        told = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Trial(problem=f"a process for it can't be started: {error}")
    if "problem" in told:
        return Trial(problem=told["problem"])
    apart = ", a root of its own" if told["apart"] else ""
    return Trial(detail=f"{support()}{apart}", is_apart=told["apart"])
