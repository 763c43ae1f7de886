"""``exec`` in a Wasm container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable
from tests.runtime.containers import LIMIT, Runtime, over_each_native
from tests.support.guests import build
from wasmoci.runtime import staging

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.heavy


@pytest.fixture
def container(runtime: Runtime, tmp_path: Path) -> Iterator[Runtime]:
    """A container that sleeps, with other modules and a native program among its files, and a volume with one more."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "hello.wasm").write_bytes(build("hello").read_bytes())
    modules = {f"/bin/{name}.wasm": build(name).read_bytes() for name in ("show", "exit", "loop", "files", "cat")}
    natives = {"/bin/native": b"\x7fELF", "/bin/script": "#!/bin/sh\n"}
    with runtime.running(
        "sleep",
        files={**modules, **natives},
        env=["PATH=/bin", "A=1"],
        mounts=[(tmp_path / "volume", "/volume", "rbind", "ro"), {"type": "tmpfs", "destination": "/tmp"}],
        cwd="/work",
    ):
        yield runtime


@over_each_native
def test_a_module(container: Runtime) -> None:
    """It gets its arguments, the container's variables and those of the call."""
    done = container.call("exec", "-e", "B=2", "c", "/bin/show.wasm", "x", "-e")
    lines = done.stdout.decode().splitlines()
    assert lines == [
        "arg 0: /bin/show.wasm",
        "arg 1: x",
        "arg 2: -e",
        "env: PATH=/bin",
        "env: A=1",
        "env: B=2",
        "env: HOME=/",
        "env: PWD=/work",
    ]


def test_exit_status(container: Runtime) -> None:
    """The module's code is that of the call."""
    assert container.call("exec", "c", "exit.wasm", "7").returncode == 7


def test_the_same_files(container: Runtime) -> None:
    """It sees the container's files: what one writes to a tmpfs the next one reads."""
    write = container.call("exec", "c", "files.wasm", "write", "/tmp/x", "text")
    assert (write.returncode, write.stderr) == (0, b"")
    assert container.call("exec", "--cwd", "/tmp", "c", "files.wasm", "read", "x").stdout == b"read x: text\n"
    assert container.call("exec", "c", "/volume/hello.wasm").stdout == b"Hello, World!\n"


def test_input(container: Runtime) -> None:
    """Its streams are those of the call."""
    assert container.call("exec", "c", "cat.wasm", stdin=b"\0in").stdout == b"\0in"


@over_each_native
def test_a_document(container: Runtime, tmp_path: Path) -> None:
    """As conmon and containerd do it: a process.json, detached, with the file of its process's id."""
    document = {"args": ["loop.wasm"], "cwd": "/work", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
    (tmp_path / "process.json").write_text(json.dumps(document), encoding="utf-8")
    pid = tmp_path / "exec-pid"
    command = ("exec", "--process", tmp_path / "process.json", "--detach", "--pid-file", pid, "c")
    # Its output goes to a file: a pipe would have to be read until the module ends.
    with (tmp_path / "exec-output").open("wb") as output:
        subprocess.run(container.command(*command), check=True, timeout=LIMIT, stdout=output, stderr=output)
    assert int(pid.read_text(encoding="ascii")) in json.loads(container.ok("ps", "--format", "json", "c"))


@pytest.mark.parametrize(
    ("program", "status", "reason"),
    [
        ("/bin/native", 126, "an ELF program"),
        ("/bin/script", 126, "not WebAssembly"),
        ("sh", 127, "no such file or directory"),
        ("/usr/bin/python3", 127, "no such file or directory"),
        ("/.container/bin/show.wasm", 127, "no such file or directory"),
        ("/bin", 126, "is a directory"),
    ],
)
def test_what_is_refused(container: Runtime, program: str, status: int, reason: str) -> None:
    """A native program is none that can be executed; nor is anything that isn't the container's own."""
    done = container.call("exec", "c", program)
    assert (done.returncode, reason in done.stderr.decode()) == (status, True)
    assert "this container runs WebAssembly" in done.stderr.decode()
    # By these words Podman gives 126.
    assert ("permission denied" in done.stderr.decode()) == (status == 126)


def test_a_container_that_does_not_run(runtime: Runtime) -> None:
    """It is said what state it is in."""
    runtime.create("hello")
    done = runtime.call("exec", "c", "/app.wasm")
    assert (done.returncode, b"container c is created; a running one was expected" in done.stderr) == (125, True)


def test_the_end_of_the_container_ends_it(container: Runtime) -> None:
    """What was executed in a container doesn't outlive it."""
    with subprocess.Popen(container.command("exec", "c", "loop.wasm"), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        container.ok("kill", "c", "9")
        assert process.wait(LIMIT) == 137


@over_each_native
@pytest.mark.parametrize("user", [None, "1000:1000"])
def test_compiled_once(container: Runtime, tmp_path: Path, user: str | None) -> None:
    """What an engine has made of a module is kept, and the process has it; that of the container's own module is there already."""
    usable("wasmtime")
    environment = {**os.environ, "WASMOCI_CACHE": str(tmp_path / "cache")}
    options = ["--user", user] if user else []
    for program, place in (("/bin/loop.wasm", staging.EXECUTED), ("/app.wasm", staging.COMPILED)):
        pid = tmp_path / "pid"
        command = container.command("exec", *options, "--pid-file", pid, "c", program)
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"begun\n"
                first = int(pid.read_text(encoding="ascii"))
                told = Path(f"/proc/{first}/environ").read_bytes().split(b"\0")
                assert any(v.startswith(b"WASMOCI_COMPILED=") and v.endswith(b":" + place.encode()) for v in told)
                assert Path(f"/proc/{first}/root{place}").stat().st_size > 0
            finally:
                os.kill(first, signal.SIGTERM)
    assert list((tmp_path / "cache").rglob("*")) != []
