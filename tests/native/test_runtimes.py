"""Native workloads: found runtimes, real containers, and nothing left behind."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import wasmoci
from tests.support.containers import listed
from tests.support.leak_check import no_descriptor_left
from tests.support.requirements import require
from tests.support.waiting import PATIENCE
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.settings import Settings
from wasmoci.errors import NativeRuntimeError, NativeRuntimeNotFound, UnsupportedWorkload
from wasmoci.limits import Limits
from wasmoci.native import programs, runtimes
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.spec import Mount, Root
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SYSTEM = [path for path in ("/usr", "/bin", "/lib", "/lib64") if Path(path).exists()]
NAMESPACES = ("pid", "mount", "ipc", "uts")


def write(directory: Path, *command: str, **process: Any) -> Bundle:
    """Write a bundle whose root is this machine's system, read-only."""
    (directory / "rootfs").mkdir(parents=True)
    document = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", *command], "cwd": "/", **process},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            *({"destination": p, "source": p, "type": "bind", "options": ["rbind", "ro"]} for p in SYSTEM),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES], "x-unknown": {"kept": True}},
    }
    (directory / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return Bundle.load(directory)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ExecutionResult]]:
    """Runs a shell script in a container by runc; afterwards there is none, and nothing is left."""
    require(shutil.which("runc") and os.getuid() == 0, "native containers need runc, and root: apt install runc")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    numbers = itertools.count()

    def call(
        script: str, *args: str, stdio: Stdio | None = None, limits: Limits | None = None, **process: Any
    ) -> ExecutionResult:
        bundle = write(tmp_path / f"b{next(numbers)}", "-c", script, "sh", *args, **process)
        return Dispatcher(settings=Settings(native_runtime="runc")).run(
            bundle, stdio=stdio or Stdio.capture(), limits=limits or Limits()
        )

    with no_descriptor_left():
        yield call
    assert (_containers(tmp_path), list(scratch.iterdir())) == ([], [])


def _containers(beneath: Path) -> list[str]:
    """The containers whose bundles are beneath a directory."""
    return [item["id"] for item in listed() if Path(item["bundle"]).is_relative_to(beneath)]


@pytest.mark.parametrize("code", [0, 1, 7, 125, 126, 127, 255])
def test_exit_code(run: Callable[..., ExecutionResult], code: int) -> None:
    """A container's code is the result's, whatever it looks like."""
    result = run(f"exit {code}")
    assert (result.exit_code, result.reason, result.engine) == (code, ExitReason.EXITED, "runc")


def test_streams_are_intact(run: Callable[..., ExecutionResult]) -> None:
    """Every byte of input and of both outputs arrives, and nothing of the runtime's own among them."""
    data = bytes(range(256)) * 4096
    result = run("cat; printf err >&2; exit 3", stdio=Stdio.capture(data))
    assert (result.exit_code, result.stdout == data, result.stderr) == (3, True, b"err")


def test_arguments_and_environment(run: Callable[..., ExecutionResult]) -> None:
    """Arguments and variables arrive as they are."""
    result = run('printf "%s|" "$@" "$NAME" "$PWD"', "a b", "", "ä", env=["NAME=x=y z"], cwd="/usr")
    assert result.stdout == "a b||ä|x=y z|/usr|".encode()


def test_targets_of_all_kinds(run: Callable[..., ExecutionResult], tmp_path: Path) -> None:
    """A file and a function take a container's output."""
    chunks: list[bytes] = []
    out = tmp_path / "out"
    result = run("echo out; echo err >&2", stdio=Stdio(stdin=Stream.NULL, stdout=out, stderr=chunks.append))
    assert (out.read_bytes(), b"".join(chunks), result.stdout) == (b"out\n", b"err\n", None)


def test_output_is_bounded(run: Callable[..., ExecutionResult]) -> None:
    """What passes the bound is dropped, and the container goes on."""
    result = run("head -c 100000 /proc/self/exe; exit 4", stdio=Stdio.capture(limit=10))
    assert (len(result.stdout or b""), result.stdout_truncated, result.exit_code) == (10, True, 4)


@pytest.mark.parametrize("limit", [0.02, 0.1, 0.7])
def test_time_limit(run: Callable[..., ExecutionResult], limit: float) -> None:
    """A container is over when its time is, however far the runtime had come, and is gone afterwards."""
    result = run("echo started; sleep 600", limits=Limits(time=limit))
    assert (result.reason, result.exit_code) == (ExitReason.TIMED_OUT, 124)
    assert result.message == f"it ran past its time limit of {limit:g} s"
    assert limit <= result.duration < PATIENCE


def test_time_limit_that_nothing_reaches(run: Callable[..., ExecutionResult]) -> None:
    """A limit may be as high as one likes."""
    assert run("exit 3", limits=Limits(time=float("inf"))).exit_code == 3


def test_terminal_that_nobody_has(run: Callable[..., ExecutionResult]) -> None:
    """A bundle that asks for a terminal, as the runtimes' templates do, runs without one where the caller has none."""
    assert run("test -t 0 || echo none", terminal=True).stdout == b"none\n"


def test_function_that_raises(run: Callable[..., ExecutionResult]) -> None:
    """An exception of the caller's function ends the container."""

    def refuse(_chunk: bytes) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        run("echo x; sleep 60", stdio=Stdio(stdin=Stream.NULL, stdout=refuse, stderr=Stream.NULL))


def test_program_that_is_missing(run: Callable[..., ExecutionResult]) -> None:
    """What the runtime itself says about a container that can't be started is the error."""
    with pytest.raises(NativeRuntimeError, match=r"runc could not run .*: .*no such file or directory"):
        run("", cwd="/", args=["/no/such/program"])


def test_containers_at_the_same_time(run: Callable[..., ExecutionResult]) -> None:
    """Several threads may each run a container."""
    codes: list[int] = []
    threads = [threading.Thread(target=lambda n=n: codes.append(run(f"exit {n}").exit_code)) for n in (4, 5, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [4, 5, 6]


def test_public_run_of_a_native_bundle(run: Callable[..., ExecutionResult], tmp_path: Path) -> None:
    """``wasmoci.run`` takes arguments, variables, a volume and a directory for a native bundle as well."""
    bundle = write(tmp_path / "public", "-c", "true")
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "file").write_text("content")
    result = wasmoci.run(
        bundle,
        args=["-c", 'cat /data/file; printf " $NAME $PWD "; cat; echo no > /data/file || echo read-only'],
        env={"NAME": "new"},
        volumes=[f"{tmp_path}/volume:/data:ro"],
        cwd="/data",
        stdin=b"input",
    )
    assert result.stdout == b"content new /data inputread-only\n"
    assert json.loads((bundle.path / "config.json").read_text())["process"]["args"] == ["/bin/sh", "-c", "true"]


RECORDER = """#!/bin/sh
# A stand-in for a runtime, that keeps what it was called with.
printf '%s\\n' "$@" >> {record}
while [ $# -gt 1 ]; do
    if [ "$1" = --bundle ]; then cp "$2/config.json" {record}.json; printf %s "$2" > {record}.bundle; fi
    if [ "$1" = --log ]; then log=$2; fi
    shift
done
{body}
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a stand-in for a runtime, which keeps its arguments and its bundle's spec next to itself."""

    def make(body: str = "exit 0") -> Path:
        program = tmp_path / "fakerun"
        program.write_text(RECORDER.format(record=tmp_path / "record", body=body))
        program.chmod(0o755)
        return program

    return make


def recorded(tmp_path: Path) -> dict[str, Any]:
    """The spec that the stand-in was given."""
    document: dict[str, Any] = json.loads((tmp_path / "record.json").read_text())
    return document


def call(runtime: Path, bundle: Bundle, limits: Limits | None = None) -> ExecutionResult:
    """Run a bundle on a stand-in."""
    return runtimes.run(bundle, runtime=str(runtime), stdio=Stdio.capture(), limits=limits or Limits())


def test_unchanged_bundle_is_run_as_it_is(tmp_path: Path, recorder: Callable[..., Path]) -> None:
    """A bundle whose spec is that of its file is handed over itself; the container is deleted afterwards."""
    bundle = write(tmp_path / "b")
    result = call(recorder("exit 5"), bundle)
    assert (result.exit_code, result.engine) == (5, "fakerun")
    assert (tmp_path / "record.bundle").read_text() == str(bundle.path)
    lines = (tmp_path / "record").read_text().splitlines()
    identifier = lines[lines.index("run") + 3]
    assert lines[lines.index("run") :] == [
        "run",
        "--bundle",
        str(bundle.path),
        identifier,
        "delete",
        "--force",
        identifier,
    ]


def test_memory_limit_goes_into_the_spec(tmp_path: Path, recorder: Callable[..., Path]) -> None:
    """A limit of the caller's reaches the container's cgroup by a derived bundle, which is gone afterwards."""
    bundle = write(tmp_path / "b")
    call(recorder(), bundle, Limits(memory=1 << 26))
    document = recorded(tmp_path)
    assert document["linux"].pop("resources") == {"memory": {"limit": 1 << 26}}
    assert document == {**bundle.spec.to_dict(), "root": {"path": str(bundle.rootfs)}}
    assert not Path((tmp_path / "record.bundle").read_text()).exists()


def test_derived_bundle_has_absolute_paths(tmp_path: Path, recorder: Callable[..., Path]) -> None:
    """What was relative to the bundle is the same place in a derived one."""
    bundle = write(tmp_path / "b")
    mounts = (
        Mount(destination="/a", source="data", type="bind"),
        Mount(destination="/b", source="data", options=("rbind",)),
        Mount(destination="/c", source="tmpfs", type="tmpfs"),
        Mount(destination="/d", source="/etc", type="bind"),
    )
    call(recorder(), attrs.evolve(bundle, spec=attrs.evolve(bundle.spec, mounts=mounts)))
    found = {mount["destination"]: mount["source"] for mount in recorded(tmp_path)["mounts"]}
    data = str(bundle.path / "data")
    assert found == {"/a": data, "/b": data, "/c": "tmpfs", "/d": "/etc"}
    assert recorded(tmp_path)["root"] == {"path": str(bundle.rootfs)}


def test_changed_root_is_kept(tmp_path: Path, recorder: Callable[..., Path]) -> None:
    """A root that was made read-only is so in the derived bundle."""
    bundle = write(tmp_path / "b")
    call(recorder(), attrs.evolve(bundle, spec=attrs.evolve(bundle.spec, root=Root(path="rootfs", readonly=True))))
    assert recorded(tmp_path)["root"] == {"path": str(bundle.rootfs), "readonly": True}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            """echo '{"level":"error","msg":"no such cgroup"}' > $log; exit 1""",
            "could not run {bundle}: no such cgroup",
        ),
        (
            """echo '{"level":"error","msg":"first"}' > $log; echo '{"level":"fatal","msg":"last"}' >> $log; exit 1""",
            "could not run {bundle}: last",
        ),
        ("kill -9 $$", "was stopped by signal 9 while it ran {bundle}"),
    ],
)
def test_failure_of_the_runtime(tmp_path: Path, recorder: Callable[..., Path], body: str, message: str) -> None:
    """What the runtime logs as an error is one, and no exit code of the container's."""
    bundle = write(tmp_path / "b")
    with pytest.raises(NativeRuntimeError) as caught:
        call(recorder(body), bundle)
    assert caught.value.message == f"fakerun {message.format(bundle=bundle.path)}"
    assert caught.value.exit_status == 125


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("""echo '{"level":"warning","msg":"deprecated"}' > $log; exit 3""", 3),
        ("""echo 'no JSON at all' > $log; exit 3""", 3),
        ("""echo '[]' > $log; exit 3""", 3),
        ("""echo '{"level":"error","msg":"cleaned up"}' > $log; exit 0""", 0),
    ],
)
def test_log_that_is_no_failure(tmp_path: Path, recorder: Callable[..., Path], body: str, code: int) -> None:
    """A warning, nonsense, or an error in spite of which all went well is none."""
    assert call(recorder(body), write(tmp_path / "b")).exit_code == code


def test_fuel_is_refused(tmp_path: Path) -> None:
    """A native program has no instructions to count."""
    with pytest.raises(UnsupportedWorkload, match="no fuel"):
        runtimes.run(write(tmp_path / "b"), stdio=Stdio.null(), limits=Limits(fuel=1))


def fake(directory: Path, *names: str) -> None:
    """Make programs that do nothing."""
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)


@pytest.mark.parametrize(
    ("present", "hybrid", "expected"),
    [
        (("youki", "runc", "crun"), False, ["crun", "runc", "youki"]),
        (("youki", "runc", "crun"), True, ["runc", "youki", "crun"]),
        (("crun",), True, ["crun"]),
        (("youki",), False, ["youki"]),
        ((), False, []),
    ],
)
def test_runtimes_are_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    present: tuple[str, ...],
    hybrid: bool,  # noqa: FBT001
    expected: list[str],
) -> None:
    """Crun comes first, but not where it would refuse the machine's cgroups."""
    fake(tmp_path / "bin", *present)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "_HYBRID_CGROUPS", str(tmp_path / ("bin" if hybrid else "none")))
    assert [(runtime.name, runtime.path) for runtime in runtimes.installed()] == [
        (name, tmp_path / "bin" / name) for name in expected
    ]


def test_none_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any runtime the error says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NativeRuntimeNotFound) as caught:
        Dispatcher(settings=Settings()).run(write(tmp_path / "b"))
    assert caught.value.message == "the workload is native, and none of crun, runc and youki is installed"
    assert caught.value.hint == "install one of them, as with: apt-get install crun"
    assert caught.value.exit_status == 127


@pytest.mark.parametrize("name", ["kata", "/no/such/runc", "./runc", "not-executable"])
def test_named_runtime_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A runtime that was named isn't replaced by another one."""
    fake(tmp_path, "crun")
    (tmp_path / "not-executable").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NativeRuntimeNotFound) as caught:
        runtimes.find(name)
    assert caught.value.message == f"the native runtime {name!r} isn't installed"


@pytest.mark.parametrize("by", ["name", "absolute path", "relative path"])
def test_named_runtime_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """A runtime may be named by its name in ``PATH`` or by its path."""
    fake(tmp_path / "bin", "kata")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    name = {"name": "kata", "absolute path": str(tmp_path / "bin" / "kata"), "relative path": "bin/kata"}[by]
    assert runtimes.find(name) == runtimes.NativeRuntime("kata", tmp_path / "bin" / "kata")


def test_no_path_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Podman's last call comes without ``PATH``: the usual directories are looked at."""
    monkeypatch.delenv("PATH")
    assert runtimes.find("sh").path.name == "sh"


def test_environment_names_the_runtime(tmp_path: Path, recorder: Callable[..., Path]) -> None:
    """``WASMOCI_NATIVE_RUNTIME`` chooses for ``wasmoci.run``."""
    write(tmp_path / "b")
    done = subprocess.run(
        [sys.executable, "-c", f"import wasmoci; print(wasmoci.run({str(tmp_path / 'b')!r}))"],
        env={
            **os.environ,
            "WASMOCI_NATIVE_RUNTIME": str(recorder("exit 9")),
            "PYTHONPATH": str(Path(wasmoci.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "exit_code=9" in done.stdout
