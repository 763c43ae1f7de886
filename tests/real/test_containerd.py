"""containerd, through ``ctr``: images that Buildah built, run by the shim of runc over our runtime."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.real import programs
from tests.real.images import NATIVE, WASM
from tests.real.leftovers import settled
from tests.real.programs import RUNTIME, Done

if TYPE_CHECKING:
    from tests.real.containerd import Containerd

COMPAT = "module.wasm.image/variant=compat-smart"
NUMBERS = itertools.count()


def new_name() -> str:
    """A name that no other container has, be it another worker's: what is left of one is looked for by it."""
    return f"wasmoci-ctr-{os.getpid()}-{next(NUMBERS)}"


def run(containerd: Containerd, image: str, *arguments: str, options: tuple[str, ...] = ()) -> Done:
    """Run a container to its end; nothing is left of it."""
    name = new_name()
    done = containerd.ctr(*command(image, name, *arguments, options=options), check=False)
    assert settled(name) == []
    return done


def command(image: str, name: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """The arguments of ``ctr run``."""
    chosen = ["--rm", "--runc-binary", str(RUNTIME), "--annotation", COMPAT, *options]
    return ["run", *chosen, image, name, *arguments]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["/exit.wasm", "0", "exit"], 0),
        pytest.param(["/exit.wasm", "7"], 7, marks=pytest.mark.smoke),
        (["/exit.wasm", "255"], 255),
        (["/trap.wasm"], 134),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_exit_codes(containerd: Containerd, arguments: list[str], status: int) -> None:
    """A guest's code is the exit status of ``ctr run``."""
    assert run(containerd, WASM, *arguments).returncode == status


def test_arguments_and_environment(containerd: Containerd) -> None:
    """Arguments and variables arrive."""
    done = run(containerd, WASM, "/show.wasm", "one two", options=("--env", "A=b"))
    assert {"arg 0: /show.wasm", "arg 1: one two", "env: A=b", "env: FROM=image"} <= set(done.stdout.splitlines())


def test_native(containerd: Containerd) -> None:
    """A native program under the same annotation is native."""
    done = run(containerd, NATIVE, "/bin/sh", "-c", "echo native; exit 5")
    assert (done.stdout, done.returncode) == ("native\n", 5)


def test_refusal(containerd: Containerd) -> None:
    """What can't run is told, with the reason, through the log that containerd reads."""
    done = run(containerd, WASM, "/foreign.wasm")
    assert done.returncode
    assert "env.launch" in done.stderr
    assert "unable to retrieve" not in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_kill(containerd: Containerd, name: str) -> None:
    """``ctr task kill`` ends a guest that computes for ever, with the signal's status."""
    container = new_name()
    full = containerd.command(*command(WASM, container, "/loop.wasm"))
    with subprocess.Popen(full, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        containerd.ctr("task", "kill", "--signal", name, container)
        assert process.wait(programs.PATIENCE) == 128 + signal.Signals[name]
    assert settled(container) == []


def test_exec_and_pause(containerd: Containerd) -> None:
    """``ctr task`` executes another module, pauses, resumes and lists a container's processes."""
    container = new_name()
    full = containerd.command(*command(WASM, container, "/sleep.wasm"))
    with subprocess.Popen(full, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        done = containerd.ctr("task", "exec", "--exec-id", "e", container, "/exit.wasm", "4", check=False)
        assert (done.stdout, done.returncode) == ("leaving by return\n", 4)
        containerd.ctr("task", "pause", container)
        assert "PAUSED" in containerd.ctr("task", "ls").stdout
        containerd.ctr("task", "resume", container)
        assert len(containerd.ctr("task", "ps", container).stdout.splitlines()) > 1
        containerd.ctr("task", "kill", "--signal", "SIGINT", container)
        assert process.wait(programs.PATIENCE) == 130
    assert settled(container) == []
