"""``wasmoci explain``, ``engines``, ``doctor`` and what all commands have in common."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import COMMAND, LIMIT, environment, wasmoci

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_explain(guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """The explanation is for people, or with ``--json`` for programs."""
    bundle = make_bundle(guest("hello"))
    text = wasmoci("explain", bundle)
    assert (text.returncode, text.stderr) == (0, b"")
    assert text.stdout.decode().startswith(f"{bundle}: wasm\n")
    document = json.loads(wasmoci("explain", "--json", bundle).stdout)
    assert document["classification"]["rule"] == 3
    assert document["bundle"] == str(bundle)


def test_explain_with_options(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """The options of a run that the choice depends on are those of an explanation."""
    options = ["--engine", engine, "--timeout", "5", "--memory", "64Mi", "--isolation", "process"]
    document = json.loads(wasmoci("explain", "--json", *options, make_bundle(guest("hello"))).stdout)
    assert (document["runs_on"], document["isolation"]) == (engine, "process")
    assert document["guest"]["limits"] == {"time": 5.0, "memory": 64 << 20, "fuel": None}


def test_hostile_names(guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """Control characters from a bundle don't reach the terminal."""
    bundle = make_bundle(guest("hello"), args=["\x1b[2J"], annotations={"run.oci.handler": "\x1b]0;x\x07\x9b1m"})
    for command in ("explain", "run"):
        result = wasmoci(command, bundle, env={"WASMOCI_NATIVE_RUNTIME": "no-such-runtime"})
        output = (result.stdout + result.stderr).decode()
        assert [character for character in output if ord(character) < 32 and character not in "\n\t"] == []
        assert "\x9b" not in output


def test_engines() -> None:
    """All engines are listed, the usable ones with what they can do."""
    document = json.loads(wasmoci("engines", "--json").stdout)
    assert {"wasm3", "wasmer", "wasmtime"} <= {engine["name"] for engine in document}
    for engine in document:
        assert engine["available"] is bool(engine["capabilities"])
    text = wasmoci("engines").stdout.decode()
    assert [line.split()[0] for line in text.splitlines()] == ["ENGINE", *(engine["name"] for engine in document)]


def test_doctor(engine: str) -> None:
    """The doctor names each engine, and with one that is usable finds no problem."""
    result = wasmoci("doctor", "--json")
    findings = {(finding["topic"], finding["name"]): finding["state"] for finding in json.loads(result.stdout)}
    assert (result.returncode, findings["engines", engine]) == (0, "ok")
    assert wasmoci("doctor").stdout.decode().splitlines()[-1] == "all is well"


def test_doctor_finds_a_bad_setting(tmp_path: Path) -> None:
    """A broken configuration file is a problem, and makes the status 1."""
    file = tmp_path / "config.toml"
    file.write_text("engines = 3\n", encoding="utf-8")
    result = wasmoci("doctor", env={"WASMOCI_CONFIG": str(file)})
    assert result.returncode == 1
    assert f"{file}: engines: found 3" in result.stdout.decode()


def test_version() -> None:
    """The version is that of the distribution."""
    assert wasmoci("--version").stdout.decode() == f"wasmoci {importlib.metadata.version('wasmoci')}\n"


@pytest.mark.parametrize("command", ["run", "explain", "engines", "doctor"])
def test_help(command: str) -> None:
    """Every command helps."""
    result = wasmoci(command, "--help")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(f"usage: wasmoci {command}".encode())


@pytest.mark.parametrize("args", [[], ["nothing"], ["explain"], ["engines", "more"], ["run"]])
def test_bad_usage(args: list[str]) -> None:
    """An invalid command line exits with 125, which isn't mistaken for a guest's status, and names the help."""
    result = wasmoci(*args)
    lines = result.stderr.decode().splitlines()
    assert (result.returncode, result.stdout, len(lines)) == (125, b"", 2)
    assert lines[0].startswith("wasmoci: error: ")
    assert lines[1].startswith("see: wasmoci")


def test_reader_that_leaves() -> None:
    """Output that nobody reads ends the command without a word, as SIGPIPE would."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [*COMMAND, "engines"], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=LIMIT, env=environment()
        )
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-"])
def test_closed_streams(closed: str, tmp_path: Path) -> None:
    """A stream that the caller closed is no reason for a traceback."""
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "explain", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, check=False, timeout=LIMIT, env=environment())
    assert result.returncode == 125
    assert b"Traceback" not in result.stderr


def test_ascii_terminal(make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> None:
    """A terminal that knows only ASCII gets escapes, and no error."""
    bundle = make_bundle(guest("hello"), args=["grüße"])
    result = wasmoci("explain", bundle, env={"PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"gr\\xfc" in result.stdout


def test_unexpected_error() -> None:
    """Even a defect of ours is one tidy line; a variable brings the traceback."""
    code = "import sys, wasmoci.api, wasmoci.cli; wasmoci.api.engines = 3; sys.exit(wasmoci.cli.main(['engines']))"
    tidy = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environment())
    assert (tidy.returncode, tidy.stderr.decode().splitlines()[0][:37]) == (
        125,
        "wasmoci: error: unexpected TypeError:",
    )
    whole = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, env=environment(WASMOCI_DEBUG="1")
    )
    assert b"Traceback" in whole.stderr
