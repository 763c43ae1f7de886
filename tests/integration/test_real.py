"""The real Podman, Buildah and containerd read what ``wasmoci config`` writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.support import apply, file, toml
from tests.support.requirements import require
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.real,
    pytest.mark.smoke,
    pytest.mark.skipif(os.geteuid() != 0, reason="Podman needs root, or a machine that allows user namespaces"),
]


@pytest.fixture
def podman() -> Iterator[list[str]]:
    """Podman's command, with a storage of the test's own."""
    require(shutil.which("podman"), "podman is missing: apt install podman")
    # Podman takes no longer paths than 50 characters, which pytest's own directories can have.
    with tempfile.TemporaryDirectory(prefix="wasmoci-") as directory:
        storage = ["--root", f"{directory}/graph", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
        yield ["podman", *storage, "--tmpdir", f"{directory}/state"]


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A program that tells its version, with ``wasmoci-wasm`` beside it."""
    path = program(tmp_path / "bin" / "wasmoci-runtime", 'echo "wasmoci-runtime version 1"')
    shutil.copy(path, path.with_name("wasmoci-wasm"))
    return path


def program(path: Path, script: str) -> Path:
    """Write a program in the shell's language."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def call(*command: str | Path, **variables: str) -> str:
    """Run a program, and return its output."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "program"), [("wasmoci", "wasmoci-runtime"), ("wasmoci-wasm", "wasmoci-wasm")])
def test_podman_knows_both_runtimes(podman: list[str], runtime: Path, tmp_path: Path, name: str, program: str) -> None:
    """Podman finds each runtime by its name."""
    apply("podman", tmp_path, runtime=runtime)
    configuration = {"CONTAINERS_CONF": str(file(tmp_path, "podman"))}
    command = [*podman, "--runtime", name, "info", "--format", "json"]
    found: dict[str, Any] = json.loads(call(*command, **configuration))["host"]["ociRuntime"]
    assert (found["name"], found["path"]) == (name, str(runtime.with_name(program)))


def test_podman_reads_the_drop_in(podman: list[str], runtime: Path, tmp_path: Path) -> None:
    """In the place where it is written, seen by this test's processes alone, the drop-in makes the runtime the default."""
    require(
        subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0,
        "mount namespaces are missing: run it as root with CAP_SYS_ADMIN",
    )
    apply("podman", tmp_path, runtime=runtime, default=True)
    script = 'mount --bind "$0" /etc/containers && exec "$@"'
    arguments = ("unshare", "--mount", "sh", "-c", script, tmp_path / "etc/containers", *podman)
    environment = {name: value for name, value in os.environ.items() if name != "CONTAINERS_CONF"}
    done = subprocess.run(
        [*arguments, "info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=environment,
    )
    assert done.stdout == f"wasmoci {runtime}\n", done.stderr


def test_runtimes_are_asked_for_logs_as_json(podman: list[str], runtime: Path, tmp_path: Path) -> None:
    """Under each of its names Podman lets the runtime log as JSON, without which a message of ours wouldn't arrive."""
    apply("podman", tmp_path, runtime=runtime)
    configuration = {"CONTAINERS_CONF": str(file(tmp_path, "podman"))}
    (tmp_path / "Containerfile").write_text('FROM scratch\nCOPY Containerfile /\nCMD ["/Containerfile"]\n')
    call(*podman, "build", "--quiet", "--isolation=chroot", "-t", "localhost/t", tmp_path, **configuration)
    # In place of conmon, which calls the runtime: it says how it would, and goes no further.
    calls = tmp_path / "calls"
    script = f'[ "$1" = --version ] && echo "conmon version 2.1.6" && exit\necho "$*" >>{calls}\nexit 1'
    monitor = program(tmp_path / "bin" / "conmon", script)
    for name in ("wasmoci", "wasmoci-wasm", str(runtime)):
        options = ["--cgroup-manager=cgroupfs", f"--conmon={monitor}", f"--runtime={name}"]
        command = [*podman, *options, "run", "--network=none", "localhost/t"]
        environment = {**os.environ, **configuration}
        subprocess.run(command, env=environment, capture_output=True, check=False, timeout=100)
        assert "--runtime-arg --log-format=json" in calls.read_text(), name
        calls.unlink()


CONFIGURATIONS = [
    None,
    "version = 2\n",
    'version = 2\n[plugins]\n  [plugins."io.containerd.grpc.v1.cri"]\n    sandbox_image = "x"\n',
    (
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "native"\n'
        '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n  runtime_type = "io.containerd.runc.v2"\n'
        '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\n  SystemdCgroup = true\n'
    ),
]


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("content", CONFIGURATIONS)
def test_containerd_reads_it(tmp_path: Path, content: str | None, default: bool) -> None:  # noqa: FBT001  a parameter
    """Containerd sees our runtime, still has runc, and has nothing changed but the default if that was asked for."""
    require(shutil.which("containerd"), "containerd is missing: apt install containerd")
    path = file(tmp_path, "containerd", content or "version = 2\n")
    before = toml.loads(call("containerd", "-c", path, "config", "dump"))
    apply("containerd", tmp_path, default=default)
    after = toml.loads(call("containerd", "-c", path, "config", "dump"))
    found = after["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]
    ours = found["runtimes"].pop("wasmoci")
    assert ours["options"]["BinaryName"] == "/opt/wasmoci/bin/wasmoci-runtime"
    assert ours["pod_annotations"] == ["module.wasm.image/variant", "module.wasm.image/variant.*", "run.oci.handler"]
    assert found["runtimes"]["runc"]["runtime_type"] == "io.containerd.runc.v2"
    assert found["default_runtime_name"] == ("wasmoci" if default else "runc")
    found["default_runtime_name"] = "runc"
    for document in (before, after):
        # The built-in entry for runc has empty options, where one that is written down has none.
        runc = document["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]["runc"]
        runc["options"] = {key: item for key, item in runc["options"].items() if item}
    assert after == before


def test_containerd_loads_its_cri_plugin(tmp_path: Path) -> None:
    """With our runtime in its configuration containerd still serves Kubernetes, which it wouldn't without runc beside it."""
    require(shutil.which("containerd"), "containerd is missing: apt install containerd")
    path = file(tmp_path, "containerd", CONTAINERD.format(directory=tmp_path))
    apply("containerd", tmp_path)
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen(["containerd", "-c", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:

        def listed() -> str:
            assert daemon.poll() is None, (tmp_path / "log").read_text()
            command = ["ctr", "-a", str(tmp_path / "socket"), "plugins", "ls"]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100).stdout

        wait_for("containerd", listed)
        plugins = {tuple(line.split()[:2]): line.split()[-1] for line in listed().splitlines()[1:]}
        assert plugins["io.containerd.grpc.v1", "cri"] == "ok", (tmp_path / "log").read_text()
    finally:
        daemon.terminate()
        daemon.wait()


CONTAINERD = """version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
  address = "{directory}/socket"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
"""
