"""Patterns by which a pod's author acts on the host: found in what is there, told of, and never written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import wasmoci as command
from tests.integration.support import RUNTIME, apply, file, toml
from wasmoci.cli.doctor import PROBLEM, integration
from wasmoci.errors import IntegrationError
from wasmoci.integration import Request, plan
from wasmoci.integration.annotation_patterns import ACTED_ON, matches, of_containerd, of_crio

if TYPE_CHECKING:
    from pathlib import Path

V2, V3 = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"


def containerd(
    pattern: str, *, plugin: str = V2, name: str = "crun", version: int = 2, key: str = "pod_annotations"
) -> str:
    """A configuration of containerd with a runtime of somebody's."""
    return (
        f'version = {version}\n[plugins."{plugin}".containerd.runtimes.{name}]\n'
        f'  runtime_type = "io.containerd.runc.v2"\n  {key} = ["x", {json.dumps(pattern)}]\n'
    )


def crio(pattern: str, table: str = "runtimes.crun") -> str:
    """A configuration of CRI-O with a runtime of somebody's."""
    return f'[crio.runtime.{table}]\nallowed_annotations = ["x", {json.dumps(pattern)}]\n'


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("run.oci.*", "run.oci.seccomp.plugins", True),
        ("run.oci.handler", "run.oci.handler", True),
        ("run.oci.handler", "run.oci.handlers", False),
        ("run.oci.handler", "runxoci.handler", False),
        ("*", "run.oci.handler", True),
        ("*", "module.wasm.image/variant", False),
        ("*/*", "module.wasm.image/variant", True),
        ("module.wasm.image/variant.*", "module.wasm.image/variant.shop", True),
        ("module.wasm.image/variant.*", "module.wasm.image/variant", False),
        ("module.wasm.image/variant.*", "module.wasm.image/variant.a/b", False),
        ("run.oci.[a-h]*", "run.oci.handler", True),
        ("run.oci.[^a-h]*", "run.oci.handler", False),
        (r"run.oci.\*", "run.oci.*", True),
        (r"run.oci.\*", "run.oci.handler", False),
        ("run?oci?handler", "run.oci.handler", True),
        ("run.oci.[", "run.oci.[", False),
        ("", "", True),
    ],
)
def test_patterns_are_gos(pattern: str, name: str, expected: bool) -> None:  # noqa: FBT001
    """A pattern matches what ``path.Match`` says that it does."""
    assert matches(pattern, name) is expected


def test_what_is_written_lets_nothing_else_through(tmp_path: Path) -> None:
    """No annotation that crun or runc acts on is let through by what is written."""
    for target in ("containerd", "cri-o"):
        apply(target, tmp_path)
        text = file(tmp_path, target).read_text()
        assert (of_containerd if target == "containerd" else of_crio)(toml.loads(text), text, tmp_path) == ()
        assert plan(target, Request(runtime=RUNTIME, root=tmp_path)).warnings == ()
    assert [*integration(tmp_path)] == []
    assert "run.oci.handler" not in ACTED_ON


@pytest.mark.parametrize("pattern", ["run.oci.*", "run.*", "*", "run.oci.[!-~]*", "run.oci.seccomp.plugins", "org.*"])
@pytest.mark.parametrize("key", ["pod_annotations", "container_annotations"])
@pytest.mark.parametrize(("plugin", "version"), [(V2, 2), (V3, 3)])
def test_containerd(tmp_path: Path, plugin: str, version: int, key: str, pattern: str) -> None:
    """A pattern of any runtime in the file is told of, with its line, and stays whoever's it is."""
    path = file(tmp_path, "containerd", containerd(pattern, plugin=plugin, version=version, key=key))
    (warning,) = plan("containerd", Request(runtime=RUNTIME, root=tmp_path)).warnings
    assert warning.startswith(f"{path}: line 4: the runtime 'crun' lets pods set {pattern!r}, and by ")
    (finding,) = integration(tmp_path)
    assert (finding.state, finding.name, finding.detail) == (PROBLEM, "containerd", warning)
    assert "wasmoci config containerd" in finding.advice


@pytest.mark.parametrize("pattern", ["run.oci.handler", "module.wasm.image/*", "io.example.*", "run.oci", "run.oci.["])
def test_harmless_patterns(tmp_path: Path, pattern: str) -> None:
    """What lets none of them through isn't told of."""
    file(tmp_path, "containerd", containerd(pattern))
    assert plan("containerd", Request(runtime=RUNTIME, root=tmp_path)).warnings == ()


OLD = (
    '["module.wasm.image/variant", "module.wasm.image/variant.*", "run.oci.handler"]',
    '["module.wasm.image/*", "run.oci.*"]',
)


def test_our_own_old_tables(tmp_path: Path) -> None:
    """Tables that an earlier release has written are told of, and replaced."""
    path = file(tmp_path, "containerd")
    apply("containerd", tmp_path)
    path.write_text(path.read_text().replace(*OLD))
    (warning,) = plan("containerd", Request(runtime=RUNTIME, root=tmp_path)).warnings
    assert warning.endswith("; --write mends it")
    done = command("config", "--root", tmp_path, "--runtime", RUNTIME, "--write", "containerd")
    assert done.returncode == 0
    assert f"wasmoci: warning: {path}: line " in done.stderr.decode()
    assert "run.oci.*" not in path.read_text()
    again = command("config", "--root", tmp_path, "--runtime", RUNTIME, "--write", "containerd")
    assert (again.returncode, again.stderr) == (0, b"")


def test_old_tables_by_hand(tmp_path: Path) -> None:
    """Tables that somebody added by hand as an earlier release printed them aren't touched, and the error has the reason."""
    fragment = plan("containerd", Request(runtime=RUNTIME, root=tmp_path)).fragment.replace(*OLD)
    file(tmp_path, "containerd", f"version = 2\n{fragment}")
    with pytest.raises(IntegrationError, match="exists already") as caught:
        apply("containerd", tmp_path)
    assert "'run.oci.*'" in (caught.value.hint or "")


def test_drop_ins_of_containerd(tmp_path: Path) -> None:
    """What the main file imports is looked at by the doctor, and our own drop-in is mended."""
    file(tmp_path, "containerd", 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n')
    apply("containerd", tmp_path)
    ours = tmp_path / "etc/containerd/conf.d/50-wasmoci.toml"
    ours.write_text(ours.read_text().replace(*OLD))
    (ours.parent / "60-other.toml").write_text(containerd("*", plugin=V3, version=3, name="other"))
    assert [finding.detail.split(":")[0] for finding in integration(tmp_path)] == [
        str(ours),
        str(ours.parent / "60-other.toml"),
    ]
    (warning,) = plan("containerd", Request(runtime=RUNTIME, root=tmp_path)).warnings
    assert warning.endswith("; --write mends it")
    apply("containerd", tmp_path)
    assert [finding.detail.split(":")[0] for finding in integration(tmp_path)] == [str(ours.parent / "60-other.toml")]


@pytest.mark.parametrize("table", ["runtimes.crun", "workloads.batch"])
@pytest.mark.parametrize(
    "pattern", ["run.oci.", "run.oci", "r", "run.oci.seccomp", "org.criu.config", "org.systemd.property."]
)
def test_crio(tmp_path: Path, pattern: str, table: str) -> None:
    """CRI-O takes them for beginnings, in the main file as in any drop-in."""
    main = tmp_path / "etc/crio/crio.conf"
    drop_in = tmp_path / "etc/crio/crio.conf.d/10-crun.conf"
    drop_in.parent.mkdir(parents=True)
    for path in (main, drop_in):
        path.write_text(crio(pattern, table))
    warnings = plan("cri-o", Request(runtime=RUNTIME, root=tmp_path)).warnings
    assert [warning.partition(": line 2: ")[0] for warning in warnings] == [str(main), str(drop_in)]
    assert [finding.detail for finding in integration(tmp_path)] == list(warnings)


def test_our_own_old_drop_in(tmp_path: Path) -> None:
    """The drop-in of an earlier release is told of, and replaced."""
    apply("cri-o", tmp_path)
    path = file(tmp_path, "cri-o")
    path.write_text(
        path.read_text().replace('["module.wasm.image/variant"]', '["module.wasm.image/variant", "run.oci."]')
    )
    (warning,) = plan("cri-o", Request(runtime=RUNTIME, root=tmp_path)).warnings
    assert "lets pods set 'run.oci.', and by run.oci.seccomp.plugins " in warning
    assert warning.endswith("; --write mends it")
    apply("cri-o", tmp_path)
    assert plan("cri-o", Request(runtime=RUNTIME, root=tmp_path)).warnings == ()


def test_file_that_is_not_toml(tmp_path: Path) -> None:
    """A broken file of somebody else's is told of, and keeps nobody from writing ours."""
    broken = tmp_path / "etc/crio/crio.conf.d/10.conf"
    broken.parent.mkdir(parents=True)
    broken.write_text("[crio\n")
    planned = plan("cri-o", Request(runtime=RUNTIME, root=tmp_path))
    assert [warning.startswith(f"{broken}: line 1: not TOML") for warning in planned.warnings] == [True]
    (finding,) = integration(tmp_path)
    assert finding.state == "missing"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"plugins": 3},
        {"plugins": {V2: []}},
        {"plugins": {V2: {"containerd": {"runtimes": {"a": 1, "b": {"pod_annotations": "x"}}}}}},
    ],
)
def test_odd_documents(tmp_path: Path, document: dict[str, object]) -> None:
    """Whatever stands where a table is expected, there is no traceback."""
    assert of_containerd(document, "", tmp_path) == ()
    assert of_crio({"crio": {"runtime": document}}, "", tmp_path) == ()
