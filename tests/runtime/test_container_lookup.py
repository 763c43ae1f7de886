"""Containers of the runtime, explained by their ids."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bundles import write_native_bundle
from wasmoci.runtime import decisions, state_directories

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
    beginning = f"{NAME}ff"  # by itself no other container's
    for last in "01":
        runtime.create("sleep", name=beginning + last)
    done = explain(runtime, beginning)
    assert (done.returncode, "is the beginning of 2 containers' ids" in done.stderr) == (125, True)


def test_a_container_that_is_gone(runtime: Runtime) -> None:
    """Its decision is told, with every rule, when its record and its bundle are gone; nothing of its environment is kept."""
    name = f"{NAME}{os.getpid()}a"
    bundle = runtime.bundle("exit", "0", env=["SECRET=very-secret"])
    assert runtime.call("run", "--bundle", bundle, name).returncode == 0
    kept = Path(state_directories.base(), "decisions", f"{name}.json")
    assert "very-secret" not in kept.read_text(encoding="utf-8")
    assert kept.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(bundle)
    done = explain(runtime, name)
    expected = f"container {name}: deleted, Wasm on wasmtime, by runc: the annotation run.oci.handler=wasm asks for Wasm (rule 3)"
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, expected)
    assert "applies         run.oci.handler is wasm" in done.stdout
    document = json.loads(explain(runtime, name, "--json").stdout)
    assert (document["container"]["status"], document["classification"]["rule"]) == ("deleted", 3)


def test_a_container_that_was_refused(runtime: Runtime, tmp_path: Path) -> None:
    """The reason is told again."""
    name = f"{NAME}{os.getpid()}b"
    (tmp_path / "app.wasm").write_bytes(b"\x7fELF")
    bundle = runtime.bundle(tmp_path / "app.wasm")
    assert runtime.call("create", "--bundle", bundle, name).returncode == 126
    shutil.rmtree(bundle)
    done = explain(runtime, name)
    assert done.stdout.startswith(f"container {name}: refused, Wasm, by runc: ")
    assert "this is an ELF program, not WebAssembly" in done.stdout


def test_a_container_that_was_handed_on(runtime: Runtime) -> None:
    """An annotation that made it native is told."""
    name = f"{NAME}{os.getpid()}c"
    bundle = runtime.bundle("hello", annotations={"run.oci.handler": "krun"})
    runtime.call("run", "--bundle", bundle, name)
    shutil.rmtree(bundle)
    done = explain(runtime, name)
    assert done.stdout.startswith(f"container {name}: handed on, native, by runc: the annotation run.oci.handler=krun ")


def test_a_bundle_without_its_root(runtime: Runtime) -> None:
    """As engines leave one: its config.json is enough to tell the rule, by its directory, by its name and on standard input."""
    bundle = runtime.bundle("hello", annotations={"module.wasm.image/variant": "compat"})
    shutil.rmtree(bundle / "rootfs")
    config = bundle / "config.json"
    for name in (bundle, config, "-"):
        command = [sys.executable, "-m", "wasmoci", "explain", str(name)]
        done = subprocess.run(command, input=config.read_bytes(), capture_output=True, check=False)
        assert (done.returncode, b": wasm\n" in done.stdout, b"(rule 8)" in done.stdout) == (0, True, True), done
        assert b"isn't there, so what its program is can't be told" in done.stdout


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their number is bounded, and so is what an image may put into one."""
    monkeypatch.setattr(state_directories, "base", lambda: str(tmp_path / "wasmoci"))
    monkeypatch.setattr(decisions, "MOST", 3)
    what = {"bundle": "/b", "classification": {"kind": "native", "reason": "x" * 1_000_000}}
    for number in range(5):
        decisions.keep(f"c{number}", what)
        place = tmp_path / "wasmoci" / "decisions" / f"c{number}.json"
        os.utime(place, (number, number))
    found = dict(decisions.kept())
    assert sorted(found) == ["c2", "c3", "c4"]
    assert all(len(document["classification"]["reason"]) <= 2000 for document in found.values())


def test_what_nobody_can_keep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A place that isn't fit for it is no error of the container's, nor is a file that isn't ours."""
    monkeypatch.setattr(state_directories, "base", lambda: str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    decisions.keep("c", {"bundle": "/b", "classification": {}})
    assert not list(decisions.kept())
    (tmp_path / "file").unlink()
    decisions.keep("c", {"bundle": "/b", "classification": {}})
    (tmp_path / "file" / "decisions" / "d.json").write_text("[]")
    assert [name for name, _ in decisions.kept()] == ["c"]
