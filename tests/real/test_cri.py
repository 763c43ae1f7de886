"""containerd's CRI socket, as a kubelet calls it: a pod with a Wasm container and a native side-car."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.real.cri import Cri, CriError, decode
from tests.real.images import NATIVE, WASM
from tests.real.leftovers import settled
from tests.support.waiting import wait_for
from wasmoci.integration.annotation_patterns import ACTED_ON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real.containerd import Containerd

NODE = 2
EXITED = 2
NUMBERS = itertools.count()


class Pod:
    """A pod's sandbox while it runs.

    Args:
        cri: The service.
        logs: The directory of its logs.
        annotations: The pod's.
    """

    def __init__(self, cri: Cri, logs: Path, annotations: dict[str, str]) -> None:
        self._cri, self._logs = cri, logs
        name = f"pod-{os.getpid()}-{next(NUMBERS)}"
        namespaces = {2: {1: {1: NODE, 3: NODE}}}
        self._config: dict[int, Any] = {
            1: {1: name, 2: name, 3: "default"},
            3: str(logs),
            7: annotations,
            8: namespaces,
        }
        self.id: str = cri.call("RunPodSandbox", {1: self._config, 2: "wasm"})[1].decode()
        self.containers: list[str] = []

    def start(self, name: str, image: str, *command: str, env: dict[str, str] | None = None) -> str:
        """Create and start a container, and return its id."""
        config = {
            1: {1: name},
            2: {1: image},
            3: list(command),
            6: [{1: key, 2: value} for key, value in (env or {}).items()],
            11: f"{name}.log",
            15: {2: {3: {1: NODE, 2: 1, 3: NODE}}},
        }
        request = {1: self.id, 2: config, 3: self._config}
        container: str = self._cri.call("CreateContainer", request)[1].decode()
        self.containers.append(container)
        self._cri.call("StartContainer", {1: container})
        return container

    def status(self, container: str) -> dict[int, Any]:
        """The container's status."""
        return decode(self._cri.call("ContainerStatus", {1: container})[1])

    def exit_code(self, container: str) -> int:
        """Wait until a container has ended, and give its exit code."""
        wait_for("the container's end", lambda: self.status(container).get(3) == EXITED)
        code: int = self.status(container).get(7, 0)
        return code

    def output(self, name: str) -> list[str]:
        """The lines that a container has written, as a kubelet finds them."""
        lines = (self._logs / f"{name}.log").read_text().splitlines()
        return [line.split(" ", 3)[3] for line in lines]

    def remove(self) -> None:
        """Remove the pod with its containers; nothing is left of them."""
        for container in self.containers:
            self._cri.call("RemoveContainer", {1: container})
        self._cri.call("StopPodSandbox", {1: self.id})
        self._cri.call("RemovePodSandbox", {1: self.id})
        assert settled(self.id, *self.containers) == []


@pytest.fixture
def cri(containerd: Containerd) -> Iterator[Cri]:
    """A connection to the service."""
    made = Cri(containerd.socket)
    yield made
    made.close()


@pytest.fixture
def pod(cri: Cri, tmp_path: Path) -> Iterator[Pod]:
    """A pod in which each container is decided by its own program."""
    made = Pod(cri, tmp_path, {"module.wasm.image/variant": "compat-smart"})
    yield made
    made.remove()


@pytest.mark.smoke
def test_wasm_and_side_car(pod: Pod) -> None:
    """In one pod run a Wasm container and a native one; logs and exit codes are each one's own."""
    wasm = pod.start("wasm", WASM, "/show.wasm", "one", env={"A": "b"})
    native = pod.start("native", NATIVE, "/bin/sh", "-c", "echo native; exit 3")
    assert (pod.exit_code(wasm), pod.exit_code(native)) == (0, 3)
    assert {"arg 0: /show.wasm", "arg 1: one", "env: A=b", "env: FROM=image"} <= set(pod.output("wasm"))
    assert pod.output("native") == ["native"]


@pytest.mark.parametrize(("arguments", "code"), [(["/exit.wasm", "7"], 7), (["/trap.wasm"], 134)])
def test_exit_codes(pod: Pod, arguments: list[str], code: int) -> None:
    """A guest's exit code is the container's."""
    assert pod.exit_code(pod.start("wasm", WASM, *arguments)) == code


def test_stop(pod: Pod, cri: Cri) -> None:
    """A guest that computes for ever stops when it is asked, long before it would be killed."""
    container = pod.start("wasm", WASM, "/loop.wasm")
    wait_for("the guest", lambda: "begun" in pod.output("wasm"))
    cri.call("StopContainer", {1: container, 2: 50})
    assert pod.exit_code(container) == 143


def test_refusal(pod: Pod) -> None:
    """What can't run is refused with the reason."""
    with pytest.raises(CriError, match=r"env\.launch"):
        pod.start("wasm", WASM, "/foreign.wasm")


def test_annotations_of_a_pods_author(cri: Cri, containerd: Containerd, tmp_path: Path) -> None:
    """A pod says which of its containers are Wasm, and on which engine; what crun would act on doesn't arrive."""
    allowed = {"module.wasm.image/variant.wasm": "compat", "run.oci.handler": "wasm-smart"}
    hostile = {**dict.fromkeys(ACTED_ON, "/evil"), "module.wasm.image/other": "x", "run.oci.handlers": "x"}
    pod = Pod(cri, tmp_path, {**allowed, **hostile})
    try:
        container = pod.start("wasm", WASM, "/loop.wasm")
        wait_for("the guest", lambda: "begun" in pod.output("wasm"))
        tasks = containerd.directory / "state" / "io.containerd.runtime.v2.task" / "k8s.io"
        spec = json.loads((tasks / container / "config.json").read_text())
        cri.call("StopContainer", {1: container, 2: 50})
    finally:
        pod.remove()
    found = {key: text for key, text in spec["annotations"].items() if not key.startswith("io.kubernetes.cri.")}
    assert found == allowed
