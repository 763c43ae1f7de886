"""The owner of what is staged for a container in a user namespace."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.containers import Runtime, over_each_native
from tests.support.requirements import require
from wasmoci.runtime.mapped_root import owner

NEW = {"type": "user"}


def mapped(host: int, *, inside: int = 0, size: int = 1) -> list[dict[str, int]]:
    """A mapping of ids."""
    return [{"containerID": 5000, "hostID": 7, "size": 1}, {"containerID": inside, "hostID": host, "size": size}]


@pytest.mark.parametrize(
    ("linux", "expected"),
    [
        ({}, None),
        ({"uidMappings": mapped(9), "gidMappings": mapped(9)}, None),
        ({"namespaces": [NEW], "uidMappings": mapped(100000), "gidMappings": mapped(200000)}, (100000, 200000)),
        ({"namespaces": [{"type": "pid"}, NEW], "uidMappings": mapped(1, inside=1), "gidMappings": mapped(1)}, None),
        ({"namespaces": [NEW], "uidMappings": mapped(1, size=0), "gidMappings": mapped(1)}, None),
        ({"namespaces": [NEW]}, None),
    ],
)
def test_what_a_spec_says(linux: dict[str, Any], expected: tuple[int, int] | None) -> None:
    """It is who the mappings have for root, where there is a user namespace."""
    assert owner(linux) == expected


def test_a_namespace_that_is_joined() -> None:
    """Of one that is there the maps are asked for."""
    require(os.geteuid() == 0, "only root maps others")
    with subprocess.Popen(["unshare", "--user", "sleep", "1000"]) as process:
        try:
            path = Path(f"/proc/{process.pid}/ns/user")
            while path.readlink() == Path("/proc/self/ns/user").readlink():
                assert process.poll() is None
            for kind, number in (("uid", 100000), ("gid", 200000)):
                Path(f"/proc/{process.pid}/{kind}_map").write_text(f"0 {number} 10", encoding="ascii")
            assert owner({"namespaces": [{"type": "user", "path": str(path)}]}) == (100000, 200000)
        finally:
            process.send_signal(signal.SIGKILL)


def test_one_that_is_none(tmp_path: Path) -> None:
    """What can't be joined is said."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="can't be entered"):
        owner({"namespaces": [{"type": "user", "path": str(tmp_path / "file")}]})


@over_each_native
def test_a_container(runtime: Runtime) -> None:
    """It runs in a user namespace that the spec describes, and so does what is executed in it."""
    require(os.geteuid() == 0, "only root maps others")
    kinds = ("pid", "ipc", "uts", "mount", "network", "user")
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in kinds],
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    }
    with runtime.running("sleep", extra={"linux": linux}):
        done = runtime.call("exec", "c", "/app.wasm", "0")
        assert done.returncode == 0, done.stderr
