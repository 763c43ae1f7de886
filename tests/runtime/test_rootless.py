"""Wasm containers for a user who isn't root on the host: in a user namespace, as rootless Podman calls the runtime, and without."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtime.containers import Runtime

IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
"""Root of a user namespace, which on the host is nobody in particular."""

WITHOUT_MOUNTING = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
NO_MORE_NAMESPACES = ["sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"', "sh"]


@pytest.fixture
def rootless(runtime: Runtime, tmp_path: Path) -> Path:
    """A bundle for a user's own containers, as ``runc spec --rootless`` makes it, and the user's directories."""
    (tmp_path / "user").mkdir()
    kinds = ("user", "pid", "ipc", "uts", "mount")
    mapping = [{"containerID": 0, "hostID": 0, "size": 1}]
    linux = {"namespaces": [{"type": kind} for kind in kinds], "uidMappings": mapping, "gidMappings": mapping}
    return runtime.bundle("exit", "9", extra={"linux": {**linux, "cgroupsPath": None}})


def call(runtime: Runtime, bundle: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    """Run the bundle's container behind a prefix."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime.directory / "user")}
    command = [*IN_NAMESPACE, *prefix, *runtime.command("run", "--bundle", bundle, "c")]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


@pytest.mark.parametrize("prefix", [[], WITHOUT_MOUNTING], ids=["may mount", "may not mount"])
def test_a_container_of_a_users(runtime: Runtime, rootless: Path, prefix: list[str]) -> None:
    """It runs, where need be in a user namespace of the runtime's own, and leaves its decision alone in the user's directory."""
    done = call(runtime, rootless, *prefix)
    assert (done.returncode, done.stdout, done.stderr) == (9, "leaving by return\n", "")
    kept = [path.name for path in (runtime.directory / "user").rglob("*")]
    assert kept == ["wasmoci", "decisions", "c.json"]


def test_no_namespace_to_be_had(runtime: Runtime, rootless: Path) -> None:
    """Where the kernel allows none, it is said what is missing and which settings give it."""
    done = call(runtime, rootless, *NO_MORE_NAMESPACES, *WITHOUT_MOUNTING)
    assert done.returncode != 0
    assert "the right to mount (CAP_SYS_ADMIN) or a user namespace" in done.stderr
    assert "user.max_user_namespaces" in done.stderr
    assert json.loads((rootless / "config.json").read_text(encoding="utf-8"))["process"]["args"][-1] == "9"
