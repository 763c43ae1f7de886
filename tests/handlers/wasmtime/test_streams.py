"""The streams and arguments of guests on wasmtime."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING

import pytest

from wasmoci.stdio import Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.handlers.wasmtime.conftest import Run

LONG = bytes(range(256)) * (3 << 12)


def test_arguments_and_environment(run: Run) -> None:
    """Both arrive unchanged, in order."""
    result = run("show", "two words", "", "ä→\n", env=["B=1", "A= 2=3 ", "EMPTY="])
    lines = [
        "arg 0: /app.wasm",
        "arg 1: two words",
        "arg 2: ",
        "arg 3: ä→",
        "",
        "env: B=1",
        "env: A= 2=3 ",
        "env: EMPTY=",
    ]
    assert result.stdout is not None
    assert result.stdout.decode().splitlines() == lines


@pytest.mark.parametrize("data", [b"", b"abc", LONG], ids=["empty", "short", "long"])
def test_bytes(run: Run, data: bytes) -> None:
    """Bytes are read to their end."""
    assert run("cat", stdin=data).stdout == data


@pytest.fixture(params=["file", "long file", "file with an offset", "long file with an offset", "pipe", "socket"])
def source(request: pytest.FixtureRequest) -> Iterator[tuple[int, bytes]]:
    """A descriptor, and what is to be read from it."""
    data = LONG if "long" in request.param else b"0123456789"
    if "file" in request.param:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            offset = 4 if "offset" in request.param else 0
            file.seek(offset)
            yield file.fileno(), data[offset:]
    elif request.param == "pipe":
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        yield reader, data
        os.close(reader)
    else:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
            yield theirs.fileno(), data


def test_descriptor(run: Run, source: tuple[int, bytes]) -> None:
    """Any descriptor is read from where it is, and stays open."""
    descriptor, data = source
    assert run("cat", stdio=Stdio.capture(descriptor)).stdout == data
    os.fstat(descriptor)


def test_without_proc(run: Run, source: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is also where /proc isn't mounted."""
    from wasmoci.handlers._wasmtime import stdin  # noqa: PLC0415  needs the engine

    monkeypatch.setattr(stdin, "DESCRIPTORS", tmp_path)
    descriptor, data = source
    assert run("cat", stdio=Stdio.capture(descriptor)).stdout == data


def test_unread(run: Run) -> None:
    """A guest that reads nothing of an input without end ends, and no thread goes on."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = threading.enumerate()
        assert run("hello", stdio=Stdio.capture(theirs.fileno())).exit_code == 0
        assert threading.enumerate() == before


def test_descriptor_as_output(run: Run, tmp_path: Path) -> None:
    """A descriptor is written to where it is, and nothing is truncated."""
    path = tmp_path / "log"
    path.write_bytes(b"before|")
    with path.open("ab") as file:
        run("trap", stdio=Stdio(stdin=b"", stdout=file.fileno(), stderr=file.fileno()))
    assert path.read_bytes() == b"before|before\nabout to trap\n"


def test_path_as_output(run: Run, tmp_path: Path) -> None:
    """A path for both outputs is one file, in order."""
    path = tmp_path / "log"
    run("trap", stdio=Stdio(stdin=b"", stdout=path, stderr=path))
    assert path.read_bytes() == b"before\nabout to trap\n"


def test_function_as_output(run: Run) -> None:
    """A function gets each chunk."""
    chunks: list[bytes] = []
    run("trap", stdio=Stdio(stdin=b"", stdout=chunks.append, stderr=chunks.append))
    assert b"".join(chunks) == b"before\nabout to trap\n"


@pytest.mark.parametrize("mounts", [(), [("/", "/host", "ro")]], ids=["native", "python"])
@pytest.mark.parametrize("kind", [ValueError, OSError, KeyboardInterrupt])
def test_function_raises(
    run: Run, capfd: pytest.CaptureFixture[str], kind: type[BaseException], mounts: object
) -> None:
    """What a function raises comes out of the run as it is, and nothing is printed about it."""

    def fail(_chunk: bytes) -> None:
        raise kind("not today")

    with pytest.raises(kind, match="not today"):
        run("files", "list", "/", stdio=Stdio(stdin=b"", stdout=fail, stderr=Stream.NULL), mounts=mounts)
    assert capfd.readouterr() == ("", "")


def test_nobody_reads(run: Run) -> None:
    """A pipe that nobody reads from any more is an error of the guest's to handle."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run("output", "100", stdio=Stdio(stdin=b"", stdout=writer)).exit_code == 1
    finally:
        os.close(writer)


def test_run_within_a_run(run: Run) -> None:
    """A function that takes output may run another guest."""
    inner: set[int] = set()

    def start_another(_chunk: bytes) -> None:
        inner.add(run("exit", "200").exit_code)

    assert run("exit", "150", stdio=Stdio(stdin=b"", stdout=start_another)).exit_code == 150
    assert inner == {200}


def test_another_standard_input(guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """A process may put something else in the place of its standard input, and the next guest that inherits it reads that."""
    code = """
import os, sys, wasmoci
for text in (b"first", b"second", b"third"):
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    os.dup2(reading, 0)
    wasmoci.run(sys.argv[1], engine="wasmtime", stdio=wasmoci.Stdio.inherit()).check()
"""
    bundle = make_bundle(guest("cat"))
    done = subprocess.run([sys.executable, "-c", code, str(bundle)], capture_output=True, check=True)
    assert done.stdout == b"firstsecondthird"


def test_standard_input_in_turns(guest: Callable[..., Path], make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    """A file as standard input is read from where it is at each run: on, once rewound, opened again, grown or moved."""
    code = """
import os, sys, wasmoci
def turn():
    print(end=".", flush=True)
    wasmoci.run(sys.argv[1], engine="wasmtime", stdio=wasmoci.Stdio.inherit()).check()
def reopen():
    descriptor = os.open(sys.argv[2], os.O_RDONLY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
reopen()
turn()
turn()  # nothing is left
os.lseek(0, 0, os.SEEK_SET)
turn()
turn()
reopen()
turn()
with open(sys.argv[2], "a") as file:
    file.write("de")
turn()
os.lseek(0, 2, os.SEEK_SET)
turn()
"""
    bundle, file = make_bundle(guest("cat")), tmp_path / "input"
    file.write_bytes(b"abc")
    done = subprocess.run([sys.executable, "-c", code, str(bundle), str(file)], capture_output=True, check=True)
    assert done.stdout == b".abc..abc..abc.de.cde"
    assert done.stderr == b""


def test_grown_standard_input(guest: Callable[..., Path], make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    """What is written to a file at whose end a guest was is read by the next one."""
    code = """
import sys, wasmoci
for text in ("abc", "de", "f"):
    with open(sys.argv[2], "a") as file:
        file.write(text)
    wasmoci.run(sys.argv[1], engine="wasmtime", stdio=wasmoci.Stdio.inherit()).check()
"""
    bundle, file = make_bundle(guest("cat")), tmp_path / "input"
    with file.open("wb+") as stdin:
        done = subprocess.run(
            [sys.executable, "-c", code, str(bundle), str(file)], stdin=stdin, capture_output=True, check=True
        )
    assert done.stdout == b"abcdef"
