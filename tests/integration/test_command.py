"""``wasmoci config`` as a command: what it prints, and where it looks."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import wasmoci
from tests.integration.support import RUNTIME, file, toml

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ("podman", "containerd", "cri-o", "docker", "kubernetes")


@pytest.mark.parametrize("target", TARGETS)
def test_print(tmp_path: Path, target: str) -> None:
    """Printed is what can be piped on; what is to be known stands in the error output; nothing is written."""
    result = wasmoci("config", target, "--root", tmp_path, "--runtime", RUNTIME)
    text = result.stdout.decode()
    assert result.returncode == 0
    if target == "docker":
        assert json.loads(text)["runtimes"]["wasmoci"] == {"path": str(RUNTIME)}
    elif target == "kubernetes":
        assert text.startswith("apiVersion: node.k8s.io/v1\n")
    else:
        assert str(RUNTIME) in json.dumps(toml.loads(text))
    if target != "kubernetes":
        assert f"for {file(tmp_path, target)}; install it with --write" in result.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def test_write(tmp_path: Path) -> None:
    """With ``--write`` it says what became of the file, where the backup is, and what to restart."""
    path = file(tmp_path, "containerd", "version = 2\n")
    arguments = ("config", "containerd", "--write", "--root", tmp_path, "--runtime", RUNTIME)
    lines = wasmoci(*arguments).stdout.decode().splitlines()
    assert lines[:2] == [f"{path}: changed", f"{path}.wasmoci-backup: the backup"]
    assert "systemctl restart containerd" in lines[2]
    assert wasmoci(*arguments).stdout.decode() == f"{path}: unchanged\n"


def test_user(tmp_path: Path) -> None:
    """With ``--user`` it is written in the home directory."""
    result = wasmoci("config", "podman", "--user", "--write", "--runtime", RUNTIME, env={"HOME": str(tmp_path)})
    path = tmp_path / ".config/containers/containers.conf.d/50-wasmoci.conf"
    assert result.stdout.decode().splitlines()[0] == f"{path}: written"
    warnings = [line for line in result.stderr.decode().splitlines() if line.startswith("wasmoci: warning: ")]
    assert warnings[0] == f"wasmoci: warning: {RUNTIME}: doesn't exist"
    assert len(warnings) == 1 + (os.geteuid() == 0)


def test_runtime_in_path(tmp_path: Path) -> None:
    """A relative path is made absolute: who reads the configuration is elsewhere."""
    result = wasmoci("config", "docker", "--root", tmp_path, "--runtime", "bin/wasmoci-runtime", cwd=tmp_path)
    assert json.loads(result.stdout)["runtimes"]["wasmoci"]["path"] == f"{tmp_path}/bin/wasmoci-runtime"


BAD = [
    (["docker", "--name", "Upper"], "invalid name 'Upper'"),
    (["docker", "--name", "-a"], "expected one argument"),
    (["docker", "--name", "a" * 59], "invalid name"),
    (["docker", "--runtime", b"/\xff"], "a path in UTF-8 was expected"),
    (["docker", "--root", "/x", "--user"], "not allowed with argument"),
    (["containerd", "--config-version", "1"], "invalid choice"),
    (["nerdctl"], "invalid choice: 'nerdctl'"),
    (["kubernetes", "--write"], "there is no file to write"),
    (["cri-o", "--user", "--runtime", "/x"], "users have no configuration of their own"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_usage(arguments: list[str | bytes], message: str) -> None:
    """An invalid command line exits with 125 and says why."""
    result = wasmoci("config", *map(os.fsdecode, arguments))
    assert (result.returncode, result.stdout) == (125, b"")
    assert message in result.stderr.decode()
