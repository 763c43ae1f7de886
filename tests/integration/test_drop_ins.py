"""``wasmoci config`` for Podman, CRI-O and Kubernetes, which have files of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.support import RUNTIME, apply, file, toml
from wasmoci.errors import IntegrationError
from wasmoci.integration import Outcome, Request, plan


def test_podman(tmp_path: Path) -> None:
    """The drop-in names both programs, and keeps what Podman knows of other runtimes."""
    assert apply("podman", tmp_path).outcome is Outcome.WRITTEN
    engine = toml.loads(file(tmp_path, "podman").read_text())["engine"]
    assert engine["runtimes"] == {"wasmoci": [str(RUNTIME)], "wasmoci-wasm": ["/opt/wasmoci/bin/wasmoci-wasm"]}
    assert {"crun", "runc", "kata", "runsc", "youki", "krun"} < set(engine["runtime_supports_json"])
    assert {"wasmoci", "wasmoci-wasm", "wasmoci-runtime"} < set(engine["runtime_supports_json"])
    assert {"crun", "wasmoci", "wasmoci-wasm", "wasmoci-runtime"} < set(engine["runtime_supports_nocgroup"])
    assert engine["platform_to_oci_runtime"]["wasi/wasm"] == "wasmoci-wasm"
    assert "runtime" not in engine


def test_podman_as_the_default(tmp_path: Path) -> None:
    """With another name and as the default, both are used throughout."""
    apply("podman", tmp_path, name="w", default=True)
    engine = toml.loads(file(tmp_path, "podman").read_text())["engine"]
    assert (engine["runtime"], sorted(engine["runtimes"])) == ("w", ["w", "w-wasm"])
    assert set(engine["platform_to_oci_runtime"].values()) == {"w-wasm"}


def test_podman_for_a_user(tmp_path: Path) -> None:
    """A user's own drop-in is in their home directory."""
    planned = plan("podman", Request(runtime=RUNTIME, home=tmp_path))
    assert planned.path == tmp_path / ".config/containers/containers.conf.d/50-wasmoci.conf"


def test_crio(tmp_path: Path) -> None:
    """The drop-in names the annotations exactly as CRI-O's own list has them: any others keep it from starting."""
    apply("cri-o", tmp_path, default=True)
    runtime = toml.loads(file(tmp_path, "cri-o").read_text())["crio"]["runtime"]
    assert runtime == {
        "default_runtime": "wasmoci",
        "runtimes": {
            "wasmoci": {
                "runtime_path": str(RUNTIME),
                "runtime_type": "oci",
                "runtime_root": "/run/wasmoci",
                "allowed_annotations": ["module.wasm.image/variant"],
                "platform_runtime_paths": {
                    "wasi/wasm": "/opt/wasmoci/bin/wasmoci-wasm",
                    "wasi/wasm32": "/opt/wasmoci/bin/wasmoci-wasm",
                },
            }
        },
    }


def test_crio_for_a_user(tmp_path: Path) -> None:
    """CRI-O has no users."""
    with pytest.raises(IntegrationError, match="users have no configuration of their own"):
        plan("cri-o", Request(runtime=RUNTIME, home=tmp_path))


def test_kubernetes() -> None:
    """A RuntimeClass, whose handler is the runtime's name, and a pod of that class with a native side-car."""
    text = plan("kubernetes", Request(runtime=RUNTIME, name="w")).fragment
    runtime_class, pod = text.split("---\n")
    assert "kind: RuntimeClass\nmetadata:\n  name: w\nhandler: w\n" in runtime_class
    assert "    module.wasm.image/variant: compat-smart " in pod
    assert "  runtimeClassName: w\n" in pod
    assert plan("kubernetes", Request(runtime=RUNTIME, name="w", example=False)).fragment == runtime_class


def test_kubernetes_has_no_file(tmp_path: Path) -> None:
    """Objects of a cluster are applied, and not written."""
    with pytest.raises(IntegrationError, match="there is no file to write") as caught:
        apply("kubernetes", tmp_path)
    assert "kubectl apply" in (caught.value.hint or "")


@pytest.mark.parametrize("path", ['/a "b"/wasmoci-runtime', "/ä/\\/wasmoci-runtime", "/\x7f\t/wasmoci-runtime"])
@pytest.mark.parametrize("target", ["podman", "cri-o", "containerd"])
def test_any_path(tmp_path: Path, target: str, path: str) -> None:
    """A path is found again as it is, whatever characters it has."""
    apply(target, tmp_path, runtime=Path(path))
    document = toml.loads(file(tmp_path, target).read_text())
    assert path in _strings(document)


def _strings(document: object) -> set[str]:
    if isinstance(document, str):
        return {document}
    items = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return {text for item in items for text in _strings(item)}
