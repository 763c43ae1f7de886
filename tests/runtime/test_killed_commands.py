"""Commands that are killed at any moment, and commands that meet."""

from __future__ import annotations

import os
import random
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.runtime.containers import LIMIT, NOTHING, Runtime
from tests.support.waiting import ended, settled, wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

ROUNDS = int(os.environ.get("WASMOCI_KILL_ROUNDS", "5"))
"""How often each command is killed; a thousand finds what five don't."""

LONGEST = {
    "create": 0.5,
    "run": 0.5,
    "start": 0.06,
    "kill": 0.06,
    "delete": 0.12,
}  # seconds, a little more than each takes


@pytest.fixture(scope="module")
def chance() -> random.Random:
    """Random moments, which are the same at every run."""
    return random.Random(7)  # noqa: S311  not for secrets


@pytest.mark.parametrize("command", LONGEST)
@pytest.mark.timeout(ROUNDS * 60)
def test_delete_removes_what_is_left(runtime: Runtime, chance: random.Random, command: str) -> None:
    """After ``delete --force`` there is no container, no record, no mount, no cgroup and no process."""
    bundle = runtime.bundle("loop")
    for number in range(ROUNDS):
        name = f"c{number}"
        kill_at_random(runtime, bundle, command, name, chance)
        done = runtime.call("delete", "--force", name)
        assert done.returncode == 0, done.stderr
        assert settled(runtime.remains, NOTHING) == NOTHING, f"round {number}"


def kill_at_random(runtime: Runtime, bundle: Path, command: str, name: str, chance: random.Random) -> None:
    """Call a command, on a container in the right state, and kill it at a random moment."""
    create = ("create", "--bundle", bundle, name)
    arguments: dict[str, tuple[str | Path, ...]] = {
        "create": create,
        "run": ("run", "--bundle", bundle, name),
        "start": ("start", name),
        "kill": ("kill", name, "15"),
        "delete": ("delete", "--force", name),
    }
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if command not in ("create", "run"):
        subprocess.run(runtime.command(*create), check=True, **silent)
        if command != "start":
            runtime.ok("start", name)
    with subprocess.Popen(runtime.command(*arguments[command]), **silent) as process:
        time.sleep(chance.uniform(0, LONGEST[command]))
        process.kill()


def test_a_name_is_free_after_a_killed_command(runtime: Runtime) -> None:
    """What a killed ``create`` has left doesn't keep the next one from the name."""
    bundle = runtime.bundle("exit", "7")
    for delay in (0.1, 0.2, 0.25, 0.3):
        with subprocess.Popen(runtime.command("create", "--bundle", bundle, "c")) as process:
            time.sleep(delay)
            process.kill()
        if runtime.call("state", "c").returncode == 0:
            runtime.ok("delete", "--force", "c")
        assert runtime.call("run", "--bundle", bundle, "c").returncode == 7


def test_two_at_once(runtime: Runtime) -> None:
    """Of two that create one container one does, and of two that delete it both are content."""
    bundle = runtime.bundle("loop")
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def both(*arguments: str | Path) -> list[bool]:
        processes = [subprocess.Popen(runtime.command(*arguments), **silent) for _ in range(2)]
        return sorted(process.wait(LIMIT) == 0 for process in processes)

    assert both("create", "--bundle", bundle, "c") == [False, True]
    runtime.ok("start", "c")
    assert both("delete", "--force", "c") == [True, True]


def test_the_guest_ends_with_its_first_process(runtime: Runtime) -> None:
    """A container whose first process is killed leaves no engine behind, also without a PID namespace of its own."""
    pid = runtime.create("loop", extra={"linux": {"namespaces": [{"type": "mount"}]}})
    runtime.ok("start", "c")
    wait_for("the guest", lambda: "begun" in runtime.output())
    runtime.ok("kill", "c", "9")
    assert ended(pid)
    runtime.ok("delete", "c")
    assert settled(runtime.remains, NOTHING) == NOTHING
