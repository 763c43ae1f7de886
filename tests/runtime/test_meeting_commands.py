"""Commands that meet at one container: the one that runs it, and others that make or delete one of its name."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.runtime.containers import LIMIT, NOTHING, over_each_native
from tests.support.waiting import settled, wait_for

if TYPE_CHECKING:
    from tests.runtime.containers import Runtime

QUIET: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
HEARD: dict[str, Any] = {**QUIET, "stderr": subprocess.PIPE}
ROUNDS = 6


@over_each_native
def test_plain_delete_leaves_a_running_container(runtime: Runtime) -> None:
    """As with the native runtime, it is refused, and who waits for the container goes on waiting."""
    with runtime.running("loop") as process:
        done = runtime.call("delete", "c")
        assert done.returncode != 0
        assert b"running" in done.stderr or b"state" in done.stderr
        assert process.poll() is None
        assert '"running"' in runtime.ok("state", "c")
        runtime.ok("kill", "c", "TERM")
        assert process.wait(LIMIT) == 128 + 15
    assert settled(runtime.remains, NOTHING) == NOTHING


@over_each_native
def test_forced_delete_ends_the_run(runtime: Runtime) -> None:
    """Whoever waits for the container hears that it was killed, and leaves nothing."""
    with runtime.running("loop") as process:
        assert runtime.call("delete", "--force", "c").returncode == 0
        assert process.wait(LIMIT) == 128 + 9
    assert settled(runtime.remains, NOTHING) == NOTHING


def test_a_second_run_leaves_the_first(runtime: Runtime) -> None:
    """A name that is taken is refused, and its container is what it was."""
    with runtime.running("loop") as process:
        done = runtime.call("run", "--bundle", runtime.bundle("exit", "3"), "c")
        assert (done.returncode, b"container with id exists: c" in done.stderr) == (125, True)
        assert process.poll() is None


@pytest.mark.heavy
def test_create_meets_run(runtime: Runtime) -> None:
    """One of the two makes the container; the other one says that it exists."""
    bundles = [runtime.bundle("loop"), runtime.bundle("loop")]
    for number in range(ROUNDS):
        name = f"c{number}"
        processes = [
            subprocess.Popen(runtime.command(command, "--bundle", bundle, name), **HEARD)
            for command, bundle in zip(("create", "run"), bundles, strict=True)
        ]
        create, run = processes
        status = create.wait(LIMIT)
        if status == 0:
            assert run.wait(LIMIT) == 125
        loser = run if status == 0 else create
        assert loser.stderr is not None
        assert b"container with id exists" in loser.stderr.read(), f"round {number}"
        assert runtime.call("state", name).returncode == 0
        runtime.ok("delete", "--force", name)
        run.wait(LIMIT)
        for process in processes:
            assert process.stderr is not None
            process.stderr.close()
    assert settled(runtime.remains, NOTHING) == NOTHING


@pytest.mark.heavy
def test_forced_delete_meets_run(runtime: Runtime) -> None:
    """A container that is just being made is deleted when it is there: nothing remains, and no command hangs."""
    bundle = runtime.bundle("loop")
    for number in range(ROUNDS):
        name = f"c{number}"
        with subprocess.Popen(runtime.command("run", "--bundle", bundle, name), **QUIET) as run:
            wait_for("the record", lambda name=name: (runtime.records / name / "record.json").exists())
            runtime.ok("delete", "--force", name)
            assert run.wait(LIMIT) == 128 + 9
    assert settled(runtime.remains, NOTHING) == NOTHING


def test_a_native_container_keeps_its_name(runtime: Runtime) -> None:
    """A Wasm container isn't made in the place of a native one, which stays a native one for all commands."""
    native = runtime.bundle("loop")
    document = json.loads((native / "config.json").read_text(encoding="utf-8"))
    (native / "config.json").write_text(json.dumps({**document, "annotations": {}}), encoding="utf-8")
    command = ["runc", "--root", str(runtime.root)]
    subprocess.run([*command, "create", "--bundle", native, "c"], check=True, timeout=LIMIT, **QUIET)
    try:
        done = runtime.call("run", "--bundle", runtime.bundle("exit", "0"), "c")
        assert done.returncode not in (0, 137)
        assert b"exist" in done.stderr
        assert not (runtime.records / "c").exists()
    finally:
        subprocess.run([*command, "delete", "--force", "c"], check=True, timeout=LIMIT, **QUIET)
