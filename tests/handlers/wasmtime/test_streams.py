"""How wasmtime comes by the streams of its guests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from wasmoci.stdio import Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.handlers.wasmtime.conftest import Run

LONG = bytes(range(256)) * (3 << 12)


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


def test_without_proc(run: Run, source: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is also where /proc isn't mounted."""
    from wasmoci.handlers._wasmtime import stdin  # noqa: PLC0415  needs the engine

    monkeypatch.setattr(stdin, "DESCRIPTORS", tmp_path)
    descriptor, data = source
    assert run("cat", stdio=Stdio.capture(descriptor)).stdout == data


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyboardInterrupt])
def test_function_raises(run: Run, capfd: pytest.CaptureFixture[str], kind: type[BaseException]) -> None:
    """What a function raises comes out of the run as it is, also where the guest has our own WASI host, as for a mount."""

    def fail(_chunk: bytes) -> None:
        raise kind("not today")

    with pytest.raises(kind, match="not today"):
        run(
            "files", "list", "/", stdio=Stdio(stdin=b"", stdout=fail, stderr=Stream.NULL), mounts=[("/", "/host", "ro")]
        )
    assert capfd.readouterr() == ("", "")


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
