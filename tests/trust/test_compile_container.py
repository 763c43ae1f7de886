"""Compiling for a container is the container's work: within its limits, ended at them, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.waiting import PATIENCE, settled, wait_for
from tests.trust import bombs
from wasmoci.dispatch.registry import default
from wasmoci.isolation.compile_bounds import Bounds
from wasmoci.isolation.preparation_process import perform
from wasmoci.limits import Limits
from wasmoci.runtime import compile_group, hierarchies
from wasmoci.runtime.compile_group import CompileGroup
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.runtime.containers import Runtime

pytestmark = pytest.mark.heavy

BOMB = bombs.nested_loops(1200)  # minutes
LITTLE = {"memory": {"limit": 64 << 20}, "cpu": {"quota": 50_000, "period": 100_000}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A compile cache, in which nothing is left of what was ended."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("WASMOCI_CACHE", str(directory))
    yield directory
    assert [file.name for file in directory.rglob("*") if file.suffix in (".lock", ".part")] == []
    # Those of another test's runtime that lives, or was killed a moment ago, aren't this one's.
    assert settled(dead_groups, []) == []


def groups(runtime: int | str = "*") -> list[Path]:
    """The cgroups of processes that compile for a runtime's process, or for any."""
    root, name = Path("/sys/fs/cgroup"), f"wasmoci-compile-{runtime}"
    return [path for above in ("", "*/", "*/*/") for path in root.glob(f"{above}{name}")]


def dead_groups() -> list[Path]:
    """Those of runtimes that have ended."""
    return [path for path in groups() if not Path("/proc", path.name.rpartition("-")[2]).exists()]


def create(runtime: Runtime, wasm: bytes, resources: dict[str, Any], **options: Any) -> tuple[int, str]:
    """Create a container, and have the status and what the JSON log says."""
    (runtime.directory / "app.wasm").write_bytes(wasm)
    log = runtime.directory / "log"
    bundle = runtime.bundle(runtime.directory / "app.wasm", extra={"linux": {"resources": resources}}, **options)
    with (runtime.directory / "output").open("wb") as output:
        command = runtime.command("--log", log, "--log-format", "json", "create", "--bundle", bundle, "c")
        done = subprocess.run(
            command, check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return done.returncode, json.loads(lines[-1])["msg"] if lines else ""


BOMBS = [
    (BOMB, {**LITTLE, "memory": {"limit": 512 << 20}}, "1", "wasmtime has not compiled it within 1 s"),
    (bombs.nested_tables(600, 1000), LITTLE, "1", "wasmtime has not compiled it within 1 s"),
    (
        bombs.nested_tables(900, 1200),
        {"memory": {"limit": 40 << 20}},
        "60",
        f"wasmtime was refused memory by the limit of {40 << 20} bytes",
    ),
]


@pytest.mark.parametrize(("wasm", "resources", "seconds", "message"), BOMBS, ids=["loops", "tables", "memory"])
def test_create(
    runtime: Runtime,
    wasm: bytes,
    resources: dict[str, Any],
    seconds: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``create`` ends at the limit, and says so in Podman's own message; there is no container."""
    monkeypatch.setenv("WASMOCI_COMPILE_TIMEOUT", seconds)
    status, told = create(runtime, wasm, resources)
    assert (status, message in told) == (126, True), told
    assert runtime.call("state", "c").returncode != 0


def test_create_good(runtime: Runtime) -> None:
    """What fits is compiled, and kept."""
    status, told = create(runtime, bombs.nested_tables(100, 200), LITTLE)
    assert (status, told) == (0, "")


def test_create_of_what_crashes_a_compiler(runtime: Runtime) -> None:
    """wasm3 isn't given what its compiler is known to get wrong."""
    status, told = create(runtime, bombs.crashes_wasm3(), {}, annotations={"run.oci.handler": "wasm3"})
    assert (status, "needs multi-value, which wasm3 doesn't have" in told) == (126, True), told


def test_where(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compiled in a cgroup beside the container's, with the container's limits, that ends with what it is for."""
    monkeypatch.setenv("WASMOCI_COMPILE_TIMEOUT", "30")
    (runtime.directory / "app.wasm").write_bytes(BOMB)
    resources = {**LITTLE, "pids": {"limit": 50}}
    bundle = runtime.bundle(runtime.directory / "app.wasm", extra={"linux": {"resources": resources}})
    with subprocess.Popen(runtime.command("create", "--bundle", bundle, "c"), stdin=subprocess.DEVNULL) as process:
        found: dict[str, str] = {}
        compiling: set[str] = set()

        def compiles() -> bool:
            for path in groups(process.pid):
                compiling.update((path / "cgroup.procs").read_text(encoding="ascii").split())
                for name in ("memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max", "pids.max"):
                    if (path / name).exists():
                        found[name] = (path / name).read_text(encoding="ascii").strip()
            return len(found) == 3 and all((path / "cgroup.procs").read_text() for path in groups(process.pid))

        wait_for("the process that compiles, in its cgroups", compiles)
        process.send_signal(signal.SIGKILL)
    assert len(compiling) == 1
    wait_for("its end", lambda: not Path("/proc", *compiling).exists())
    assert found.get("memory.limit_in_bytes", found.get("memory.max")) == str(64 << 20)
    assert found.get("cpu.cfs_quota_us", found.get("cpu.max")) in ("50000", "50000 100000")
    assert found["pids.max"] == "50"
    # What a killed runtime has left goes with the next one that compiles.
    monkeypatch.setenv("WASMOCI_COMPILE_TIMEOUT", "1")
    assert runtime.call("create", "--bundle", bundle, "c").returncode == 126


def test_exec(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is executed in a container is looked at in the container's own cgroup."""
    with runtime.running("cat", extra={"linux": {"resources": LITTLE}}):
        root = Path(runtime.directory, "bundle1", "rootfs")
        (root / "crash.wasm").write_bytes(bombs.crashes_wasm3())
        monkeypatch.setenv("WASMOCI_ENGINE", "wasm3")
        done = runtime.call("exec", "c", "/crash.wasm")
    assert (done.returncode, b"needs multi-value, which wasm3 doesn't have" in done.stderr) == (126, True)


@pytest.fixture
def no_cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where no cgroup can be made."""
    monkeypatch.setattr(hierarchies, "mounted", list)


@pytest.mark.usefixtures("no_cgroups")
def test_without_cgroups() -> None:
    """Where there is none, memory is bounded for the process, and it pauses to keep to its share of the processors."""
    handler = default().load("wasmtime")
    program = Module.from_bytes(bombs.nested_tables(900, 1200), source="bomb.wasm")
    with (
        CompileGroup(None, {"memory": {"limit": 24 << 20}}) as group,
        pytest.raises(Exception, match=f"was refused memory by the limit of {24 << 20} bytes"),
    ):
        perform("precompile", handler, program, Limits(), Bounds(time=60.0, memory=1 << 30, group=group), jailed=False)
    with CompileGroup(None, {"cpu": {"quota": 20_000}}) as group:
        before = os.times()
        slow = Bounds(time=3.0, memory=1 << 30, group=group)
        with pytest.raises(Exception, match="has not compiled it within 3 s"):
            perform("precompile", handler, Module.from_bytes(BOMB), Limits(), slow, jailed=False)
        after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 1.5  # a fifth of three seconds, and what it takes to start


PARENTS = [
    (None, "/own", "/own"),
    ("/pods/pod1/box", "/own", "/pods/pod1"),
    ("pod1/box", "/own", "/own/pod1"),
    (
        "kubepods-burstable-podx.slice:cri-containerd:abc",
        "/own",
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podx.slice",
    ),
    ("machine.slice:libpod:abc", "/own", "machine.slice"),
    (":libpod:abc", "/own", "system.slice"),
    ("-.slice:libpod:abc", "/own", ""),
]


@pytest.mark.parametrize(("path", "own", "parent"), PARENTS)
def test_parents(path: str | None, own: str, parent: str) -> None:
    """The cgroup is made where native runtimes make the container's, so that a pod's limits hold as well."""
    assert compile_group._parent(path, own) == parent


@pytest.mark.parametrize("path", ["/../../etc/box", "/a/../../../tmp/box", "../../x/y"])
def test_outside(path: str, tmp_path: Path) -> None:
    """None is ever made outside of the hierarchy."""
    mount = tmp_path / "cgroup"
    mount.mkdir()
    directory = mount / compile_group._parent(path, "/").lstrip("/")
    assert compile_group._nearest(directory, mount) == mount
