"""A status that isn't known, and output that is lost, are never told as 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import usable
from tests.trust.test_call_backs import WRITER
from wasmoci import cli
from wasmoci.errors import EngineCrashed, EngineError
from wasmoci.isolation.worker_outcome import WorkerOutcome
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.testing import bundle
from wasmoci.text import log

if TYPE_CHECKING:
    from collections.abc import Callable

FULL = Path("/dev/full")
RESULT = {"event": "result", "engine": "e", "duration": 0.5, "message": "", "backtrace": []}


@pytest.fixture(autouse=True)
def _own_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ``run`` has warnings told on its standard error, for the rest of its process."""
    monkeypatch.setattr(log, "_listeners", [])


@pytest.mark.parametrize("reason", [reason for reason in ExitReason if reason is not ExitReason.EXITED])
def test_status_of_a_bad_end(reason: ExitReason) -> None:
    """Only a guest that exited has the status 0, whatever a handler gives as its code."""
    assert ExecutionResult(exit_code=0, reason=reason, engine="e").exit_status == 255


@pytest.mark.parametrize("answer", [
    {},
    {"event": "result"},
    {"event": "exited"},
    {"event": None},
    RESULT,
    {**RESULT, "exit_code": 0},
    {**RESULT, "reason": "exited"},
    {**RESULT, "reason": "exited", "exit_code": False},
    {**RESULT, "reason": "exited", "exit_code": None},
    {**RESULT, "reason": "exited", "exit_code": "0"},
    {**RESULT, "reason": "exited", "exit_code": 0.0},
    {**RESULT, "reason": "exited", "exit_code": -1},
    {**RESULT, "reason": "exited", "exit_code": 1 << 32},
    {**RESULT, "reason": "trapped", "exit_code": 0},
    {**RESULT, "reason": "signaled", "exit_code": 0},
    {**RESULT, "reason": "EXITED", "exit_code": 0},
], ids=json.dumps)  # fmt: skip
def test_answers_of_a_worker(answer: dict[str, Any]) -> None:
    """What a worker says counts only where it makes sense, all of it."""
    with pytest.raises(EngineCrashed):
        WorkerOutcome(engine="e", answer=answer, status=0, duration=1.0).result()


@pytest.mark.parametrize("status", [0, 1, -signal.SIGSEGV])
def test_no_answer_of_a_worker(status: int) -> None:
    """A worker that ends with 0 and has said nothing has not run its guest to a good end."""
    with pytest.raises(EngineCrashed):
        WorkerOutcome(engine="e", answer=None, status=status, duration=1.0).result()


INIT = """
import os, signal, sys
from wasmoci.runtime import init
status = {status!r}
def run():
    if status is None:
        raise SystemExit
    return status
init._run = run
{change}
init.main()
"""


@pytest.mark.parametrize(
    ("change", "status", "expected"),
    [
        ("", 0, 0),
        ("", 7, 7),
        ("", None, 125),
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", 7, 7),
        ("def fork(): raise BlockingIOError(11, 'no process')\nos.fork = fork", 0, 125),
        ("def waitpid(*_): raise ChildProcessError\nos.waitpid = waitpid", 0, 125),
        ("def waitpid(*_): raise OSError(5, 'broken')\nos.waitpid = waitpid", 0, 125),
        ("def wait(*_): raise MemoryError\ninit._reap = wait", 0, 125),
        ("def run(): os.kill(os.getpid(), 9)\ninit._run = run", 0, 137),
        ("def run(): raise ImportError('no engine')\ninit._run = run", 0, 125),
        ("def end(_): raise OSError('no prctl')\ninit._end_with = end", 0, 125),
    ],
)
def test_first_process_of_a_container(change: str, status: int | None, expected: int) -> None:
    """It ends as the guest's process does, and with 125 where that can't be known."""
    done = subprocess.run(
        [sys.executable, "-c", INIT.format(change=change, status=status)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expected, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("raised", [SystemExit(), SystemExit(0), SystemExit("why"), KeyboardInterrupt(), MemoryError()])
def test_handler_that_leaves(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> None:
    """A handler that leaves the process in the place of giving a result hasn't run the guest: in a container, and in the command."""
    from wasmoci.runtime import guest  # noqa: PLC0415

    def leave(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(guest.Description, "taken", leave)
    assert guest.main(["/app.wasm"], {}) == 125
    monkeypatch.setattr("wasmoci.cli.run._opened", leave)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        assert cli.main(["run", "bundle"]) not in (0, None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    "arguments",
    [["wasmoci", "--version"], ["wasmoci", "--help"], ["wasmoci", "engines"], ["wasmoci.runtime", "--version"]],
    ids=" ".join,
)
def test_output_that_cannot_be_written(arguments: list[str]) -> None:
    """A command whose output is lost doesn't end with 0."""
    module, *rest = arguments
    code = (
        "from wasmoci.runtime.main import program" if module == "wasmoci.runtime" else "from wasmoci.cli import program"
    )
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", f"{code}; program()", *rest],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode != 0


def test_guest_whose_output_is_lost(engine: str, tmp_path: Path) -> None:
    """A guest that looks at what its writes give never ends with 0 when one has failed."""
    made = bundle(tmp_path / "bundle", WRITER.format(number=2))
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "wasmoci", "run", "--engine", engine, str(made.path)],
            stdout=full,
            timeout=120,
            check=False,
        )
    assert done.returncode in (9, 134)


def test_native_container_where_sigchld_is_ignored(tmp_path: Path) -> None:
    """A process that ignores SIGCHLD isn't told its children's statuses: the container's is lost, and that is an error."""
    code = f"""
import signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from wasmoci import Bundle, native
from wasmoci.errors import WasmociError
from wasmoci.limits import Limits
from wasmoci.stdio import Stdio
try:
    result = native.run(Bundle.load({str(tmp_path / "bundle")!r}), runtime={str(tmp_path / "runtime")!r}, stdio=Stdio.null(), limits=Limits())
except WasmociError as error:
    print("refused:", error)
else:
    print(result.exit_code)
"""
    from tests.support.bundles import write_native_bundle  # noqa: PLC0415

    write_native_bundle(tmp_path / "bundle", "exit 3")
    (tmp_path / "runtime").write_text("#!/bin/sh\nsleep 0.2\nexit 3\n")
    (tmp_path / "runtime").chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("refused: the exit status of runtime is lost"), (done.stdout, done.stderr)


class _Process:
    """The SDK's process, as it may be: what it has said on the tunnel, and on its status."""

    def __init__(self, said: bytes, answer: dict[str, Any]) -> None:
        self._said = said
        self._answer = answer

    def read(self, size: int) -> bytes:
        data, self._said = self._said[:size], self._said[size:]
        return data

    def write(self, data: bytes) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return self._answer


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[bytes, dict[str, Any]], Any]:
    """Serves a guest of wasmer's SDK that has said something, and gives its outcome."""
    pytest.importorskip("wasmer_sdk")
    usable("wasmer")
    from wasmoci.handlers._wasmer import sandbox_run  # noqa: PLC0415
    from wasmoci.handlers.base import Workload  # noqa: PLC0415
    from wasmoci.limits import Limits  # noqa: PLC0415
    from wasmoci.oci.entrypoint import Entrypoint  # noqa: PLC0415
    from wasmoci.oci.filesystem import plan  # noqa: PLC0415
    from wasmoci.stdio import Stdio  # noqa: PLC0415
    from wasmoci.wasi import Wasi  # noqa: PLC0415

    made = bundle(tmp_path / "bundle", WRITER.format(number=1))

    def call(said: bytes, answer: dict[str, Any]) -> Any:
        entrypoint = Entrypoint.of(made.spec)
        with plan(made.spec, made.rootfs).materialise() as files, Stdio.null().open() as streams, Wasi() as wasi:
            workload = Workload(
                entrypoint=entrypoint, module=entrypoint.load(files), files=files, streams=streams,
                limits=Limits(), started=lambda: None,
            )  # fmt: skip
            return sandbox_run._serve(_Process(said, answer), workload, wasi)  # type: ignore[arg-type]

    return call


def test_end_of_the_sdk(serve: Callable[[bytes, dict[str, Any]], Any]) -> None:
    """A guest that returns exits with 0."""
    outcome = serve(b"", {"exited": 0})
    assert (outcome.reason, outcome.exit_code) == (ExitReason.EXITED, 0)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"\0", {"exited": 0}),  # in the middle of a call
        (b"\0" * 300, {"exited": 0}),
        (b"", {"exited": 1}),
        (b"", {"exited": 137}),
        (b"", {"started": True}),
        (b"", {"failed": "gone"}),
        (b"\xfe" * 400, {"exited": 0}),  # no call at all
    ],
)
def test_end_of_the_sdk_that_is_none(
    serve: Callable[[bytes, dict[str, Any]], Any], said: bytes, answer: dict[str, Any]
) -> None:
    """Whatever else the SDK's process says at the end, or is cut off at, is no success."""
    with pytest.raises(EngineError):
        serve(said, answer)


@pytest.mark.parametrize(
    "line", [b"", b"{}\n", b"[]\n", b"exited\n", b'{"exited": "0"}\n', b'{"exited": true}\n', b'{"exited": 0, "failed": "x"}\n',
             b'{"exited": 0', b"[" * 5000 + b"\n"],
)  # fmt: skip
def test_status_of_the_sdk_that_is_none(line: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line that is cut short, or isn't what was agreed on, is an engine that crashed."""
    from wasmoci.handlers._wasmer import sdk_process  # noqa: PLC0415

    said = tmp_path / "said"
    said.write_bytes(line)
    monkeypatch.setattr(
        sdk_process, "_BOOT", f"import os, sys\nos.write(int(sys.argv[1]), open({os.fspath(said)!r}, 'rb').read())"
    )
    with sdk_process.SdkProcess(b"", tmp_path) as made, pytest.raises(EngineCrashed):
        made.status()
