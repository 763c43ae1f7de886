"""The sequences of calls that conmon and containerd make, replayed on the runtime itself, over runc and over crun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.direct import Direct
from tests.real.leftovers import settled
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[pytest.param("runc", marks=pytest.mark.smoke), "crun"])
def direct(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Direct]:
    """A container over each native runtime; nothing is left of it."""
    made = Direct(tmp_path, request.param)
    yield made
    made("delete", "--force", "ID", check=False)
    assert settled(made.id, tmp_path) == []


def test_conmon(direct: Direct) -> None:
    """conmon: create, start, kill 15, and at the end ``delete --force`` with no PATH."""
    direct.make("loop")
    pid_file = direct.directory / "pid"
    direct("create", "--bundle", direct.bundle, "--pid-file", pid_file, "ID")
    state = direct.state()
    assert (state["status"], state["bundle"], state["pid"]) == (
        "created",
        str(direct.bundle),
        int(pid_file.read_text()),
    )
    assert direct.written().count("begun") == 0
    direct("start", "ID")
    direct.wait("running")
    direct("pause", "ID")
    assert direct.state()["status"] == "paused"
    direct("resume", "ID")
    direct("kill", "ID", "15")
    direct.wait("stopped")
    direct("delete", "--force", "ID", path=False)
    assert direct("state", "ID", check=False).returncode


def test_containerd(direct: Direct) -> None:
    """containerd: global options, numbers for signals, ``kill --all`` on what is dead, and a second delete that succeeds."""
    direct.make("loop")
    options = ("--log", str(direct.log), "--log-format", "json")
    direct(*options, "create", "--bundle", direct.bundle, "--pid-file", direct.directory / "pid", "ID")
    direct(*options, "start", "ID")
    direct.wait("running")
    processes = json.loads(direct(*options, "ps", "--format", "json", "ID").stdout)
    assert int((direct.directory / "pid").read_text()) in processes
    direct(*options, "kill", "ID", "15")
    direct.wait("stopped")
    direct(*options, "kill", "--all", "ID", "9", check=False)
    direct(*options, "delete", "ID")
    direct(*options, "delete", "--force", "ID")
    direct(*options, "delete", "--force", "ID")


def test_refusal_in_the_log(direct: Direct) -> None:
    """What can't run is refused at create, with the reason in the JSON log, and nothing is left."""
    direct.make("foreign")
    options = ("--log", str(direct.log), "--log-format=json")
    done = direct(
        *options, "create", "--bundle", direct.bundle, "--pid-file", direct.directory / "pid", "ID", check=False
    )
    assert done.returncode
    last = json.loads(direct.log.read_text().splitlines()[-1])
    assert last["level"] == "error"
    assert "env.launch" in last["msg"]
    assert direct("state", "ID", check=False).returncode


def test_never_started(direct: Direct) -> None:
    """A container that was created alone is deleted by force."""
    direct.make("loop")
    direct("create", "--bundle", direct.bundle, "ID")
    direct("delete", "--force", "ID")


def test_run(direct: Direct) -> None:
    """``run`` gives the guest's status, with the bundle as the current directory."""
    direct.make("exit", "7")
    assert direct("run", "--bundle", direct.bundle, "ID", check=False).returncode == 7
    assert "leaving by return" in direct.written()


def test_no_privileges(direct: Direct) -> None:
    """The processes of a Wasm container have no capabilities and can't get any."""
    direct.make("loop")
    direct("create", "--bundle", direct.bundle, "--pid-file", direct.directory / "pid", "ID")
    direct("start", "ID")
    wait_for("the guest", lambda: "begun" in direct.written())
    processes = json.loads(direct("ps", "--format", "json", "ID").stdout)
    assert processes
    for process in processes:
        status = Path(f"/proc/{process}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
            assert f"{kind}:\t{0:016x}" in status, kind


def test_guest_that_looks_for_the_host(direct: Direct) -> None:
    """A guest finds nothing but its root, whatever paths it tries: not the host, the engine, or the staged root."""
    secret = direct.directory / "secret"
    secret.write_text("the host's")
    host = ["/usr", "/lib", "/proc", "/proc/self/environ", "/proc/1/root", "/dev", "/run", "/etc/passwd", "/dev/fd/0"]
    paths = [*host, str(secret), str(direct.bundle / "config.json"), "/".join([".."] * 12)]
    climbing = [
        prefix + path for path in paths for prefix in ("", "..", "../../../..", "/../..", "/link", "link/..", "link")
    ]
    direct.make("escape", *climbing, symlinks={"/link": "/", "/up": "../../..", "/out": str(secret)}, readonly=True)
    direct("run", "--bundle", direct.bundle, "ID")
    seen = direct.written().splitlines()
    root = {path.name for path in (direct.bundle / "rootfs").iterdir()}
    assert "the host's" not in direct.written()
    assert [line for line in seen if " read " in line or " created" in line] == []
    assert [
        line for line in seen if " directory" in line and any(name in line for name in ("usr", "proc", "dev"))
    ] == []
    assert root >= {"app.wasm", "link"}
