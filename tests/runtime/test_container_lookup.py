"""Containers of the runtime, explained by their ids."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bundles import write_native_bundle

if TYPE_CHECKING:
    from tests.runtime.containers import Runtime

NAME = "0123456789abcdef"


def explain(runtime: Runtime, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Call ``wasmoci explain`` on a container."""
    command = [sys.executable, "-m", "wasmoci", "explain", "--runtime-root", str(runtime.root), *options, name]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", [NAME, NAME[:4]])
def test_a_wasm_container(runtime: Runtime, name: str) -> None:
    """By its id, or the beginning of it, it is told what was decided and what it is about now."""
    runtime.create("sleep", name=NAME, annotations={"run.oci.handler": "wasm3"})
    done = explain(runtime, name)
    first, second, *_ = done.stdout.splitlines()
    expected = f"container {NAME}: created, Wasm on wasm3, by runc: the annotation run.oci.handler=wasm3 names the engine wasm3 (rule 5)"
    assert (done.returncode, first, second) == (0, expected, f"{runtime.directory / 'bundle1'}: wasm")


def test_data(runtime: Runtime) -> None:
    """The same for programs."""
    runtime.create("sleep", name=NAME)
    document: dict[str, Any] = json.loads(explain(runtime, NAME, "--json").stdout)
    container = document["container"]
    assert (container["identifier"], container["status"], container["runtime"]) == (NAME, "created", "runc")
    assert (container["record"]["engine"], document["classification"]["kind"]) == ("wasmtime", "wasm")


def test_a_native_container_that_should_be_wasm(runtime: Runtime) -> None:
    """Of one whose annotation never arrived it is told what is missing."""
    bundle = write_native_bundle(runtime.directory / "native", "sleep 60")
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(runtime.command("create", "--bundle", bundle, NAME), check=True, **silent)
    (bundle / "rootfs" / "app.wasm").write_bytes(b"\0asm\x01\0\0\0")
    document = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    document["process"]["args"] = ["/app.wasm"]
    (bundle / "config.json").write_text(json.dumps(document), encoding="utf-8")
    lines = explain(runtime, NAME).stdout.splitlines()
    assert lines[0] == f"container {NAME}: created, native, by runc"
    assert any("module.wasm.image/variant" in line for line in lines[2:])


def test_a_native_container_that_shares_its_mounts(runtime: Runtime) -> None:
    """What ``wasmoci run`` would refuse of a spec is no problem of a container that there is."""
    bundle = write_native_bundle(runtime.directory / "native", "sleep 60")
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(runtime.command("create", "--bundle", bundle, NAME), check=True, **silent)
    document = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    document["linux"]["rootfsPropagation"] = "rshared"
    (bundle / "config.json").write_text(json.dumps(document), encoding="utf-8")
    assert json.loads(explain(runtime, NAME, "--json").stdout)["problem"] == ""
    assert "rootfsPropagation" in json.loads(explain(runtime, str(bundle), "--json").stdout)["problem"]


def test_no_container(runtime: Runtime) -> None:
    """What is none is looked for among bundles and images, as before; a name's beginning is none."""
    runtime.create("sleep", name="application")
    done = explain(runtime, "appl")
    assert (done.returncode, "appl: doesn't exist" in done.stderr) == (125, True)


def test_an_ambiguous_beginning(runtime: Runtime) -> None:
    """Of several containers all are named."""
    for last in "01":
        runtime.create("sleep", name=NAME + last)
    done = explain(runtime, NAME)
    assert (done.returncode, "is the beginning of 2 containers' ids" in done.stderr) == (125, True)
