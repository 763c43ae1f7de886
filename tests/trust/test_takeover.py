"""What native code gets by that has taken over an engine in the jail: with its streams, its memory, its answers and what it makes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.requirements import require
from tests.support.waiting import ended
from tests.trust.takeover import Takeover
from wasmoci import compiled, isolation
from wasmoci.errors import EngineCrashed
from wasmoci.isolation import Isolation
from wasmoci.isolation.compile_bounds import Bounds
from wasmoci.isolation.jail.support import support
from wasmoci.isolation.preparation_process import perform
from wasmoci.isolation.warm_servers import Servers
from wasmoci.limits import Limits
from wasmoci.oci.spec import Mount, Process, Root, Spec
from wasmoci.stdio import Stdio
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wasmoci.result import ExecutionResult

    Run = Callable[..., ExecutionResult]

pytestmark = pytest.mark.heavy

_ROOT = Path(__file__).parents[2]
_MEMORY = 16 << 20
RESULT = {
    "event": "result",
    "exit_code": 1,
    "reason": "exited",
    "engine": "wasmtime",
    "duration": 0.1,
    "message": "",
    "backtrace": [],
}


@pytest.fixture(autouse=True)
def _supported() -> None:
    require(not support().problem, support().problem)


@pytest.fixture(params=["cold", "warm"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Has the engine do something in the jail."""
    servers = Servers(eager=request.param == "warm")
    (tmp_path / "rootfs").mkdir()

    def execute(
        *arguments: str, stdin: bytes | int = b"", limits: Limits | None = None, mounts: Sequence[Mount] = ()
    ) -> ExecutionResult:
        rootfs = tmp_path / "rootfs"
        return isolation.execute(
            Takeover(),
            Spec(process=Process(args=arguments), root=Root(path=str(rootfs)), mounts=tuple(mounts)),
            rootfs,
            stdio=Stdio.capture(stdin=stdin),
            limits=limits or Limits(),
            isolation=Isolation.JAIL,
            servers=servers,
        )

    yield execute
    servers.close()


def test_no_path_leads_out_by_a_stream_that_is_a_directory(run: Run, tmp_path: Path) -> None:
    """Neither times nor anything else of a file beneath or above it is told or changed; Python doesn't start with such an input."""
    victim = tmp_path / "victim"
    victim.touch()
    before = victim.stat().st_mtime_ns
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        told = json.loads(run("leave_by_input", stdin=directory).message)
    except EngineCrashed:
        told = {}
    finally:
        os.close(directory)
    assert victim.stat().st_mtime_ns == before
    assert told.pop("list", []) == []
    assert set(told.values()) <= {"ENOENT", "EACCES", "EPERM"}, told


def test_what_a_mount_hides_is_hidden(run: Run, tmp_path: Path) -> None:
    """A guest sees the mount, and so does native code: neither reads nor changes what is beneath it."""
    rootfs, mounted, inner = tmp_path / "rootfs", tmp_path / "mounted", tmp_path / "inner"
    for directory in (rootfs / "data", mounted / "inner", inner):
        directory.mkdir(parents=True)
    hidden = [rootfs / "data" / "secret", mounted / "inner" / "secret", rootfs / "file"]
    for file in hidden:
        file.write_text("secret", encoding="utf-8")
    (tmp_path / "over").touch()
    mounts = [
        Mount(destination="/data", source=str(mounted), type="bind"),
        Mount(destination="/data/inner", source=str(inner), type="bind"),
        Mount(destination="/file", source=str(tmp_path / "over"), type="bind", options=("ro",)),
    ]
    told = json.loads(run("look_beneath", "/0/data/secret", "/1/inner/secret", "/0/file", mounts=mounts).message)
    assert [told[path][1] for path in told] == ["EROFS", "EROFS", "EROFS"]
    assert [told[path][0] for path in told] == ["ENOENT", "ENOENT", False]
    assert [file.read_text(encoding="utf-8") for file in hidden] == ["secret"] * 3


@pytest.mark.parametrize("way", ["shared", "stack", "file", "input"])
def test_memory_beyond_the_limit_is_not_to_be_had(run: Run, way: str) -> None:
    """Nor is any of the kinds that the kernel doesn't count as a process's data."""
    try:
        told = json.loads(run("hold", way, "100", limits=Limits(memory=_MEMORY)).message)
    except EngineCrashed as error:
        told = str(error)
    assert told != "held"


def test_addresses_and_threads_are_bounded(run: Run) -> None:
    """Both cost the kernel memory; the threads of root it doesn't count."""
    told = json.loads(run("bounds").message)
    assert 0 < told["RLIMIT_AS"] < 1 << 40
    assert told["RLIMIT_NPROC"] == 256


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"duration": float("inf")}, "a duration of inf s"),
        ({"duration": float("nan")}, "a duration of nan s"),
        ({"duration": -1.0}, "a duration of -1.0 s"),
    ],
)
def test_impossible_answer(run: Run, changes: dict[str, Any], problem: str) -> None:
    """A result that can't be is none."""
    with pytest.raises(EngineCrashed, match=f"an answer that makes no sense: {problem}"):
        run("say", json.dumps({**RESULT, **changes}))


def test_engine_is_the_one_that_was_asked(run: Run) -> None:
    """A result doesn't claim another one."""
    assert run("say", json.dumps(RESULT)).engine == "takeover"


def test_answer_costs_the_caller_little(run: Run) -> None:
    """What would fill the caller's memory is refused by its length."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EngineCrashed, match=r"sent something else than an answer: a message of [0-9]+ bytes"):
        run("say_much")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_text_gives_no_code_for_another_module() -> None:
    """What a jailed engine makes of a text is kept for that text alone: it can't be told what the text is assembled to."""
    other = "0" * 64
    text = Module.from_bytes(f"(module) ;; {other}".encode(), source="app.wat")
    made = perform("precompile", Takeover(), text, Limits(), Bounds(), jailed=True)
    assert made == [(compiled.Key(text.digest, "takeover", "1", ""), b"made")]


_CALLER = """
import sys
from pathlib import Path
from tests.trust.takeover import Takeover
from wasmoci import isolation
from wasmoci.isolation import Isolation
from wasmoci.isolation.warm_servers import Servers
from wasmoci.limits import Limits
from wasmoci.oci.spec import Mount, Process, Root, Spec
from wasmoci.stdio import Stdio
root = Path(sys.argv[1])
spec = Spec(process=Process(args=("stay",)), root=Root(path=str(root)))
where = {"isolation": Isolation.JAIL, "servers": Servers(eager=sys.argv[2] == "warm")}
isolation.execute(Takeover(), spec, root, stdio=Stdio.inherit(), limits=Limits(), **where)
"""


@pytest.mark.parametrize("kind", ["cold", "warm"])
def test_no_process_outlives_its_caller(kind: str, tmp_path: Path) -> None:
    """It ends as well when its caller is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _CALLER, str(tmp_path), kind],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path])},
        stdout=subprocess.PIPE,
    ) as caller:
        assert caller.stdout is not None
        worker = int(caller.stdout.readline())
        caller.send_signal(signal.SIGKILL)
    assert ended(worker)
