"""A container's life under Podman: signals, pauses, restarts, logs, terminals, and ``exec``."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real import programs
from tests.real.images import WASM
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.real.podman import Podman

# Podman kills what doesn't stop in so many seconds; the guests here never get that far.
STOP = "--time=50"
QUICK = 40.0


def begin(podman: Podman, container: str, guest: str = "/sleep.wasm", *options: str) -> None:
    """Start a guest that stays, and wait until it runs."""
    podman("run", "--detach", "--name", container, *options, WASM, guest)
    podman.wait_for_log(container, "begun")


@pytest.mark.parametrize("guest", [pytest.param("/sleep.wasm", marks=pytest.mark.smoke), "/loop.wasm"])
def test_stop(podman: Podman, container: str, guest: str) -> None:
    """``stop`` ends a guest at once with 143, whether it sleeps or computes, and long before Podman would kill it."""
    begin(podman, container, guest)
    before = time.monotonic()
    podman("stop", STOP, container)
    assert time.monotonic() - before < QUICK
    state = podman.inspect(container)
    assert (state["Status"], state["ExitCode"]) == ("exited", 143)


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT", "HUP", "USR1", "KILL"])
def test_kill(podman: Podman, container: str, name: str) -> None:
    """A signal that ends a program ends a guest, with 128 and its number."""
    begin(podman, container, "/loop.wasm")
    podman("kill", f"--signal={name}", container)
    assert podman("wait", container).stdout.strip() == str(128 + signal.Signals[f"SIG{name}"])


def test_ignored_signals(podman: Podman, container: str) -> None:
    """Signals that a program would ignore don't hurt a guest."""
    begin(podman, container)
    for name in ("WINCH", "USR2", "URG", "PIPE", "CONT"):
        podman("kill", f"--signal={name}", container)
    assert podman.inspect(container)["Running"]
    podman("stop", STOP, container)
    assert podman.inspect(container)["ExitCode"] == 143


def test_pause(podman: Podman, container: str) -> None:
    """A paused guest does nothing, and goes on afterwards."""
    command = podman.command("run", "--interactive", "--name", container, WASM, "/serve.wasm")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=podman.environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        podman("pause", container)
        assert podman.inspect(container)["Status"] == "paused"
        process.stdin.write(b"say something\n")
        process.stdin.flush()
        assert select.select([process.stdout], [], [], 1)[0] == []
        podman("unpause", container)
        assert process.stdout.readline() == b"something\n"
        process.stdin.close()
        assert (process.stdout.read(), process.wait(programs.PATIENCE)) == (b"done\n", 0)


def test_restart(podman: Podman, container: str) -> None:
    """A container is started again, once it has ended and while it runs."""
    begin(podman, container)
    first = podman.inspect(container)["Pid"]
    podman("restart", STOP, container)
    wait_for("the second start", lambda: podman("logs", container).stdout.count("begun") == 2)
    assert podman.inspect(container)["Pid"] != first
    podman("stop", STOP, container)
    podman("start", container)
    wait_for("the third start", lambda: podman("logs", container).stdout.count("begun") == 3)
    podman("kill", container)
    assert podman("wait", container).stdout.strip() == "137"


def test_inspect_and_ps(podman: Podman, container: str) -> None:
    """``ps`` and ``inspect`` tell of the guest's program, and not of the engine's."""
    begin(podman, container)
    assert podman("ps", "--format={{.Names}} {{.Command}} {{.Status}}", f"--filter=name={container}").stdout.startswith(
        f"{container} /sleep.wasm Up"
    )
    assert podman.inspect(container, "Path") == "/sleep.wasm"
    assert podman.inspect(container, "OCIRuntime") == str(programs.RUNTIME)
    assert Path(f"/proc/{podman.inspect(container)['Pid']}").exists()
    podman("stop", STOP, container)


def test_logs(podman: Podman, container: str) -> None:
    """Both streams of a guest are in the log, each as itself."""
    podman("run", "--name", container, WASM, "/trap.wasm", check=False)
    done = podman("logs", container)
    assert done.stdout == "before\n"
    assert "about to trap\n" in done.stderr


@pytest.mark.smoke
def test_exec(podman: Podman, container: str) -> None:
    """``exec`` runs another module of the image, with arguments, variables, input and exit status of its own."""
    begin(podman, container)
    shown = podman("exec", "--env=A=b", container, "/show.wasm", "one").stdout
    assert {"arg 0: /show.wasm", "arg 1: one", "env: A=b", "env: FROM=image"} <= set(shown.splitlines())
    assert podman("exec", "-i", container, "/cat.wasm", stdin="text").stdout == "text"
    assert podman("exec", container, "/exit.wasm", "9", check=False).returncode == 9
    assert podman("exec", container, "/trap.wasm", check=False).returncode == 134
    assert podman.inspect(container)["Running"]
    podman("stop", STOP, container)


@pytest.mark.parametrize(
    ("program", "reason", "status"),
    [
        ("/bin/busybox", "ELF program", 126),
        ("/bin/sh", "/bin/sh", 127),
        ("/missing.wasm", "/missing.wasm", 127),
        ("/usr/bin/python3", "python3", 127),
    ],
)
def test_exec_refuses(podman: Podman, container: str, program: str, reason: str, status: int) -> None:
    """A native program can't be run in a Wasm container, neither the image's nor one of the engine's, and a sentence says so."""
    begin(podman, container)
    done = podman("exec", container, program, "-c", "print(1)", check=False)
    assert (done.returncode, done.stdout, reason in done.stderr) == (status, "", True)
    assert "this container runs WebAssembly" in done.stderr
    podman("stop", STOP, container)


def test_terminal(podman: Podman, container: str) -> None:
    """With ``-t`` a guest's output comes through a terminal, and Ctrl-C ends it."""
    outer, inner = pty.openpty()
    command = podman.command("run", "-it", "--name", container, WASM, "/sleep.wasm")
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=podman.environment) as process:
        os.close(inner)
        seen = b""
        while b"begun\r\n" not in seen:
            seen += os.read(outer, 4096)
        os.write(outer, b"\x03")
        assert process.wait(QUICK) == 130, seen
    os.close(outer)


def test_terminal_of_exec(podman: Podman, container: str) -> None:
    """``exec -t`` has a terminal of its own."""
    begin(podman, container)
    done = podman("exec", "--tty", container, "/trap.wasm", check=False)
    assert "about to trap" in done.stdout, "a terminal has one stream"
    assert done.returncode == 134
    podman("stop", STOP, container)
