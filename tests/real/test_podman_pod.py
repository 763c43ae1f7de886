"""Pods of Wasm containers and native side-cars with ``podman play kube``, and ``podman build`` over the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real import programs
from tests.real.images import NATIVE, WASM
from tests.real.programs import FORCING, RUNTIME
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.podman import Podman

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: {pod}
  annotations:
    module.wasm.image/variant: compat-smart
spec:
  restartPolicy: Never
  containers:
    - name: shop
      image: {wasm}
      command: ["/files.wasm", "write", "/shared/from-wasm", "hello"]
      volumeMounts: [{{name: shared, mountPath: /shared}}]
    - name: proxy
      image: {native}
      command: ["/bin/sh", "-c", "until cat /shared/from-wasm; do sleep 0.05; done 2>/dev/null; exit 3"]
      volumeMounts: [{{name: shared, mountPath: /shared}}]
  volumes:
    - name: shared
      hostPath: {{path: {shared}, type: Directory}}
"""


@pytest.mark.smoke
def test_pod_with_side_car(podman: Podman, tmp_path: Path) -> None:
    """A pod's one annotation makes its Wasm container Wasm, and leaves its side-car and its sandbox native."""
    (tmp_path / "pod.yaml").write_text(POD.format(pod="mixed", wasm=WASM, native=NATIVE, shared=tmp_path))
    try:
        podman("play", "kube", tmp_path / "pod.yaml")
        wait_for("the side-car", lambda: podman.inspect("mixed-proxy")["Status"] in {"exited", "stopped"})
        assert podman("logs", "mixed-shop").stdout == "wrote /shared/from-wasm: 5\n"
        assert podman("logs", "mixed-proxy").stdout == "hello"
        assert podman.inspect("mixed-shop")["ExitCode"] == 0
        assert podman.inspect("mixed-proxy")["ExitCode"] == 3
    finally:
        podman("pod", "rm", "--force", "--time=0", "mixed", check=False)


def test_build(podman: Podman, tmp_path: Path) -> None:
    """The steps of a build are native, run by our runtime, even when they make a Wasm image."""
    (tmp_path / "Containerfile").write_text(
        f'FROM {NATIVE} AS base\nRUN ["/bin/sh", "-c", "echo built > /made"]\n'
        f'FROM {WASM}\nCOPY --from=base /made /made\nCMD ["/files.wasm", "read", "/made"]\n'
    )
    podman("build", "--quiet", "--isolation=oci", "--network=none", "-t", "localhost/built:1", tmp_path)
    podman("run", "--rm", "localhost/built:1", "/hello.wasm")
    assert podman("run", "--rm", "localhost/built:1").stdout.startswith("read /made: built")


def test_forced_in_a_pod(podman: Podman) -> None:
    """Under the name that makes every container Wasm, a pod's sandbox is what it is to Podman, and the pod's containers are Wasm."""
    try:
        done = podman("run", "--pod", "new:forced", WASM, "/hello.wasm", runtime=FORCING)
        assert done.stdout == "Hello, World!\n"
    finally:
        podman("pod", "rm", "--force", "--time=0", "forced", check=False)


def test_side_car_under_compat(podman: Podman, container: str) -> None:
    """A native one is refused in Podman's own message, which names what would leave it alone."""
    options = ("--name", container, "--annotation", "module.wasm.image/variant=compat")
    done = podman("run", *options, NATIVE, "/bin/sh", "-c", "true", check=False)
    assert done.returncode == 126
    assert "with module.wasm.image/variant=compat-smart its program decides" in done.stderr


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        ("module.wasm.image/variant=compact", "compat or compat-smart was expected"),
        ("run.oci.handler=wasmtim", "one of wasm, wasm-smart, "),
    ],
)
def test_warnings_in_the_log(podman: Podman, container: str, annotation: str, told: str) -> None:
    """A value that nobody knows is told in the container's log."""
    podman("run", "--name", container, "--annotation", annotation, NATIVE, "/bin/sh", "-c", "true")
    done = podman("logs", container)
    assert told in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--pids-limit=1", "may have 1 processes and threads"),
        ("--pids-limit=2", "needs at least 3"),
        ("--memory=8m", "8 MiB of memory (linux.resources.memory.limit)"),
    ],
)
def test_too_small_a_limit(podman: Podman, container: str, option: str, told: str) -> None:
    """Podman's own message says which one, and the least that works."""
    annotation = ("--annotation", "module.wasm.image/variant=compat")
    done = podman("run", "--name", container, option, *annotation, WASM, "/hello.wasm", check=False)
    assert done.returncode == 126
    assert told in done.stderr


@pytest.mark.parametrize(("check", "status"), [("CMD /hello.wasm", 0), ('["/exit.wasm", "3"]', 1)])
def test_health_check(podman: Podman, container: str, check: str, status: int) -> None:
    """A module of the container's own files tells whether it is healthy."""
    options = ("--annotation", "module.wasm.image/variant=compat", "--health-interval=disable", "--health-cmd", check)
    podman("run", "--detach", "--name", container, *options, WASM, "/loop.wasm")
    assert podman("healthcheck", "run", container, check=False).returncode == status


def test_step_of_a_wasm_image(podman: Podman, tmp_path: Path) -> None:
    """A step of a build runs a module of the image, under the name that makes every container Wasm."""
    (tmp_path / "Containerfile").write_text(
        f'FROM {WASM}\nWORKDIR /out\nRUN ["/files.wasm", "write", "/out/made", "built"]\n'
        'CMD ["/files.wasm", "read", "/out/made"]\n'
    )
    podman("build", "--quiet", "--isolation=oci", "--network=none", "-t", "localhost/step:1", tmp_path, runtime=FORCING)
    assert podman("run", "--rm", "localhost/step:1", runtime=FORCING).stdout == "read /out/made: built\n"


def test_explained_when_it_is_gone(podman: Podman, tmp_path: Path) -> None:
    """What the runtime decided is told by the id that Podman gave, and the ``config.json`` that it keeps is enough."""
    options = ("--annotation", "module.wasm.image/variant=compat")
    podman("run", "--rm", "--cidfile", tmp_path / "id", *options, WASM, "/hello.wasm")
    identifier = (tmp_path / "id").read_text(encoding="ascii").strip()
    assert f"container {identifier}: deleted, Wasm on wasmtime" in explained(identifier)
    podman("run", "--name", "explained", *options, WASM, "/hello.wasm")
    try:
        config = podman("inspect", "--format", "{{.OCIConfigPath}}", "explained").stdout.strip()
        told = explained(config)
        assert "module.wasm.image/variant=compat asks for Wasm (rule 8)" in told
        assert "isn't there, so what its program is can't be told" in told
    finally:
        podman("rm", "--force", "explained")


def explained(name: str) -> str:
    """What ``wasmoci explain`` prints."""
    return programs.run(RUNTIME.with_name("wasmoci"), "explain", name).stdout
