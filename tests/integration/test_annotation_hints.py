"""Annotations that never arrived: who made the spec, and which line is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wasmoci.integration.annotation_hints import missing
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.classification import classify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.integration.annotation_hints import Missing

WASM = b"\0asm\1\0\0\0"
ID = "0123456789abcdef" * 4


@pytest.fixture
def lack(make_bundle: Callable[..., Path]) -> Callable[..., Missing | None]:
    """What a bundle lacks."""

    def call(wasm: bytes = WASM, **options: Any) -> Missing | None:
        bundle = Bundle.load(make_bundle(wasm, **{"annotations": {}, **options}))
        return missing(bundle, classify(bundle.spec, bundle.rootfs, handlers=lambda: ("wasmtime",)))

    return call


PODMAN = {
    "io.container.manager": "libpod",
    "io.kubernetes.cri-o.Created": "2026-01-01T00:00:00Z",
    "io.kubernetes.cri-o.TTY": "false",
    "io.podman.annotations.autoremove": "TRUE",
    "org.opencontainers.image.stopSignal": "15",
}
CRIO = {"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.container.name": "c"}
HANDLED = {**CRIO, "io.kubernetes.cri-o.RuntimeHandler": "wasm"}
CONTAINERD = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": "c"}
ORIGINS = [
    (PODMAN, "podman", "podman run --annotation module.wasm.image/variant=compat"),
    (PODMAN, "podman", '[engine.platform_to_oci_runtime] "wasi/wasm" = "wasmoci-wasm"'),
    (
        CRIO,
        "cri-o",
        '[crio.runtime.runtimes.wasmoci] allowed_annotations = ["module.wasm.image/variant"]',
    ),
    (
        HANDLED,
        "cri-o",
        '[crio.runtime.runtimes.wasm] allowed_annotations = ["module.wasm.image/variant"]',
    ),
    (
        CONTAINERD,
        "containerd",
        'pod_annotations = ["module.wasm.image/variant", "module.wasm.image/variant.*", "run.oci.handler"]',
    ),
    (CONTAINERD, "containerd", "module.wasm.image/variant: compat-smart"),
    ({}, "", '"annotations": {"module.wasm.image/variant": "compat"}'),
    ({}, "", 'detection = "content"'),
]


@pytest.mark.parametrize(("annotations", "origin", "line"), ORIGINS)
def test_origins(lack: Callable[..., Missing | None], annotations: dict[str, str], origin: str, line: str) -> None:
    """Who made a spec is seen from its annotations, and the line is one of theirs."""
    found = lack(annotations=annotations)
    assert found is not None
    assert found.origin == origin
    assert line in [fix.line for fix in found.fixes]


@pytest.mark.parametrize(
    ("namespace", "origin", "line"),
    [
        ("moby", "docker", "docker run --runtime wasmoci --annotation module.wasm.image/variant=compat"),
        ("default", "ctr", "ctr run --annotation module.wasm.image/variant=compat"),
    ],
)
def test_place_of_the_bundle(
    make_bundle: Callable[..., Path], tmp_path: Path, namespace: str, origin: str, line: str
) -> None:
    """Docker and containerd's clients annotate nothing; where the shim keeps the bundle tells them apart."""
    directory = tmp_path / "io.containerd.runtime.v2.task" / namespace / ID
    directory.parent.mkdir(parents=True)
    make_bundle(WASM, annotations={}).rename(directory)
    bundle = Bundle.load(directory)
    found = missing(bundle, classify(bundle.spec, bundle.rootfs))
    assert found is not None
    assert (found.origin, found.fixes[0].line) == (origin, line)


def test_mounts_of_docker(lack: Callable[..., Missing | None]) -> None:
    """A copy of Docker's bundle is known by the files that Docker mounts."""
    found = lack(mounts=[(f"/var/lib/docker/containers/{ID}/hostname", "/etc/hostname")])
    assert found is not None
    assert found.origin == "docker"


@pytest.mark.parametrize(
    ("annotations", "name", "line"),
    [
        ({**CONTAINERD, "module.wasm.image/variant.web": "compat"}, "is called 'c'", "variant.c: compat"),
        ({"module.wasm.image/variant.web": "compat"}, "has no name", "variant.NAME: compat"),
    ],
)
def test_annotations_for_others(
    lack: Callable[..., Missing | None], annotations: dict[str, str], name: str, line: str
) -> None:
    """Where the pod's annotations arrived, and are for other containers, no configuration is to blame."""
    found = lack(annotations=annotations)
    assert found is not None
    assert found.reason.endswith(f"are for other containers: module.wasm.image/variant.web; this one {name}")
    assert [fix.line for fix in found.fixes] == [f"module.wasm.image/{line}", "module.wasm.image/variant: compat-smart"]


NOTHING: list[dict[str, Any]] = [
    {"wasm": b"\x7fELF", "program": "/tool.wasm"},
    {"wasm": b"#!/bin/sh"},
    {"wasm": b"text", "program": "/tool"},
    {"annotations": {"module.wasm.image/variant": "compat"}},
    {"annotations": {"module.wasm.image/variant": "else"}},
    {"annotations": {"run.oci.handler": "krun"}},
    {"annotations": {"io.kubernetes.cri.container-type": "sandbox"}},
    {"extra": {"process": {"args": [], "cwd": "/"}}},
]


@pytest.mark.parametrize("options", NOTHING)
def test_nothing_is_missing(lack: Callable[..., Missing | None], options: dict[str, Any]) -> None:
    """A native program is rightly native, and an annotation that is there is no missing one."""
    assert lack(**options) is None


def test_name_alone(lack: Callable[..., Missing | None]) -> None:
    """A program that can't be read is judged by its name."""
    found = lack(entry="/gone.wasm")
    assert found is not None
    assert found.reason.startswith("'/gone.wasm' ends in .wasm or .wat")
