"""``wasmoci run``: streams, arguments, statuses."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import COMMAND, LIMIT, environment, wasmoci
from tests.support.guests import TOOLCHAINS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Path]
    Guest = Callable[..., Path]

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_hello(engine: str, toolchain: str, guest: Guest, make_bundle: Make) -> None:
    """A program's output is the command's output, and nothing else is."""
    result = wasmoci("run", "--engine", engine, make_bundle(guest("hello", toolchain), args=["you"]))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"Hello, you!\n", b"")


@pytest.mark.parametrize("how", ["return", "exit", "_Exit"])
@pytest.mark.parametrize(("code", "status"), [(0, 0), (1, 1), (7, 7), (255, 255), (256, 255), (300, 44)])
def test_exit_status(code: int, status: int, how: str, guest: Guest, make_bundle: Make) -> None:
    """The guest's code is the status, in 8 bits, and 0 only for 0."""
    assert wasmoci("run", make_bundle(guest("exit"), args=[str(code), how])).returncode == status


def test_exit_status_on_each_engine(engine: str, guest: Guest, make_bundle: Make) -> None:
    """Each engine hands the code on, through its worker process as well."""
    bundle = make_bundle(guest("exit"), args=["7"])
    for isolation in ("inline", "process"):
        result = wasmoci("run", "--engine", engine, "--isolation", isolation, bundle)
        assert (isolation, result.returncode, result.stderr) == (isolation, 7, b"")


@pytest.mark.parametrize("how", ["unreachable", "divide", "memory", "table"])
def test_trap(engine: str, how: str, guest: Guest, make_bundle: Make) -> None:
    """A trap gives 134 and one line about it with the frames below; what the guest wrote before is there."""
    result = wasmoci("run", "--engine", engine, make_bundle(guest("trap"), args=[how]))
    lines = result.stderr.decode().splitlines()
    assert (result.returncode, result.stdout, lines[0]) == (134, b"before\n", "about to trap")
    assert lines[1].startswith("wasmoci: the guest trapped: ")
    assert all(line.startswith("  at ") for line in lines[2:])


def test_arguments_replace_those_of_the_bundle(engine: str, guest: Guest, make_bundle: Make) -> None:
    """Arguments after the bundle take the place of the spec's, whatever they look like; the program stays."""
    bundle = make_bundle(guest("show"), args=["old", "older"])
    given = ["two words", "grüße 🦀", "--engine", "-x", "", 'quote"\\']
    result = wasmoci("run", "--engine", engine, bundle, *given)
    assert result.stdout.decode().splitlines() == [
        f"arg {index}: {arg}" for index, arg in enumerate(["/app.wasm", *given])
    ]


def test_arguments_of_the_bundle_stay(guest: Guest, make_bundle: Make) -> None:
    """Without arguments the spec's are used."""
    result = wasmoci("run", make_bundle(guest("show"), args=["a", "b"]))
    assert result.stdout == b"arg 0: /app.wasm\narg 1: a\narg 2: b\n"


def test_environment(engine: str, guest: Guest, make_bundle: Make) -> None:
    """Variables are added and replaced, in order and untrimmed; the command's own never reach the guest."""
    bundle = make_bundle(guest("show"), env=["A=1", "B= two ", "C=x=y"])
    result = wasmoci("run", "--engine", engine, "--env", "A=neu ü", "-e", "D=", bundle, env={"SECRET": "1"})
    assert result.stdout.decode().splitlines()[1:] == ["env: A=neu ü", "env: B= two ", "env: C=x=y", "env: D="]


def test_stdin(engine: str, guest: Guest, make_bundle: Make) -> None:
    """The guest reads what is piped in, to its end and byte by byte the same."""
    data = bytes(range(256)) * 1000
    result = wasmoci("run", "--engine", engine, make_bundle(guest("cat")), stdin=data)
    assert (result.returncode, result.stdout == data) == (0, True)


def test_volumes(engine: str, guest: Guest, make_bundle: Make, tmp_path: Path) -> None:
    """A volume is there to write; one with ``:ro`` is not."""
    for name in ("rw", "ro"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "in").write_text(name, encoding="utf-8")
    result = wasmoci(
        *("run", "--engine", engine),
        *("--volume", f"{tmp_path / 'rw'}:/rw", "-v", f"{tmp_path / 'ro'}:/data/ro:ro"),
        make_bundle(guest("files")),
        *[
            "read",
            "/rw/in",
            ",",
            "write",
            "/rw/out",
            "new",
            ",",
            "read",
            "/rw/out",
            ",",
            "read",
            "/data/ro/in",
            ",",
            "write",
            "/data/ro/out",
            "new",
        ],
    )
    lines = result.stdout.decode().splitlines()
    assert lines[:4] == ["read /rw/in: rw", "wrote /rw/out: 3", "read /rw/out: new", "read /data/ro/in: ro"]
    assert lines[4].startswith("write /data/ro/out: E")
    assert (result.returncode, (tmp_path / "ro" / "out").exists()) == (1, False)


def test_relative_volume(guest: Guest, make_bundle: Make, tmp_path: Path) -> None:
    """A volume's host path is relative to where the command is called."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").write_text("found", encoding="utf-8")
    bundle = make_bundle(guest("files"))
    result = wasmoci("run", "-v", "here:/there", bundle, "read", "/there/file", cwd=tmp_path)
    assert result.stdout == b"read /there/file: found\n"


def test_read_only(engine: str, guest: Guest, make_bundle: Make) -> None:
    """With ``--read-only`` the root can be read, and that is all."""
    bundle = make_bundle(guest("files"), files={"/in": "text"})
    result = wasmoci("run", "--engine", engine, "--read-only", bundle, *["read", "/in", ",", "write", "/out", "x"])
    assert result.stdout.decode().splitlines()[0] == "read /in: text"
    assert (result.returncode, (bundle / "rootfs" / "out").exists()) == (1, False)


def test_working_directory(engine: str, guest: Guest, make_bundle: Make) -> None:
    """Relative paths start at ``--workdir``."""
    bundle = make_bundle(guest("files"), files={"/srv/in": "text"})
    result = wasmoci("run", "--engine", engine, "--workdir", "/srv", bundle, "read", "in")
    assert (result.returncode, result.stdout) == (0, b"read in: text\n")


@pytest.mark.parametrize("name", ["loop", "sleep"])
def test_timeout(engine: str, name: str, guest: Guest, make_bundle: Make) -> None:
    """A guest that computes or sleeps for ever ends at its time limit, with 124 and a line about it."""
    result = wasmoci("run", "--engine", engine, "--timeout", "1", make_bundle(guest(name)))
    assert (result.returncode, result.stdout) == (124, b"begun\n")
    assert result.stderr.decode() == f"wasmoci: the guest was stopped: it ran past its time limit of 1 s ({engine})\n"


@pytest.mark.parametrize("how", ["unchecked", "abort"])
def test_memory(engine: str, how: str, guest: Guest, make_bundle: Make) -> None:
    """A guest that dies of a refused allocation ends with 137 and a line about it."""
    result = wasmoci("run", "--engine", engine, "--memory", "16Mi", make_bundle(guest("allocate"), args=[how]))
    assert result.returncode == 137
    assert result.stderr.decode().startswith("wasmoci: the guest ran out of memory: ")


def test_fuel(guest: Guest, make_bundle: Make) -> None:
    """A guest without end ends with its fuel, on the engine that counts it."""
    result = wasmoci("run", "--fuel", "100000", make_bundle(guest("loop")))
    assert (result.returncode, b"100000 instructions" in result.stderr) == (124, True)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--engine", "nothing"], 125, "no engine is called 'nothing'"),
        (["--env", "broken"], 125, "NAME=value was expected"),
        (["--volume", "/nowhere:/x"], 125, "/nowhere doesn't exist on the host"),
        (["--volume", "/data"], 125, "HOST:GUEST"),
        (["--workdir", "relative"], 125, "an absolute guest path was expected"),
        (["--workdir", "/app.wasm"], 125, "$.process.cwd"),
        (["--timeout", "0"], 125, "invalid duration '0'"),
        (["--memory", "64m"], 125, "invalid size '64m'"),
        (["--fuel", "-1"], 125, "invalid count '-1'"),
        (["--isolation", "vm"], 125, "invalid choice: 'vm'"),
        (["--unknown"], 125, "--unknown"),
    ],
)
def test_bad_options(options: list[str], status: int, message: str, guest: Guest, make_bundle: Make) -> None:
    """A bad option is an error of the command's own, in one line, and the guest doesn't run."""
    result = wasmoci("run", *options, make_bundle(guest("hello")))
    stderr = result.stderr.decode()
    assert (result.returncode, result.stdout) == (status, b"")
    assert stderr.startswith("wasmoci: error: ")
    assert message in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("entry", "status", "message"),
    [
        ("/missing.wasm", 127, "/missing.wasm"),
        ("/dir", 126, "/dir"),
        ("/text.txt", 126, "/text.txt"),
        ("/app.wasm#nothing", 126, "'nothing'"),
        ("/app.wasm#", 126, "no function ''"),
        ("#main", 125, "$.process.args[0]"),
    ],
)
def test_bad_entry(entry: str, status: int, message: str, guest: Guest, make_bundle: Make) -> None:
    """An entry point that can't be run gives 126, one that isn't there 127, and a message that names it."""
    bundle = make_bundle(guest("hello"), entry=entry, directories=["/dir"], files={"/text.txt": "no module"})
    result = wasmoci("run", bundle)
    assert (result.returncode, result.stdout) == (status, b"")
    assert message in result.stderr.decode()
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize("where", ["argument", "variable"])
def test_not_utf8(where: str, guest: Guest, make_bundle: Make) -> None:
    """What is not UTF-8 is refused by the command, and shown."""
    bundle = make_bundle(guest("show"))
    given = [bundle, "a\udcff"] if where == "argument" else ["--env", "A=\udcff", bundle]
    result = wasmoci("run", *given)
    assert (result.returncode, result.stdout) == (125, b"")
    assert "\\xff': not UTF-8" in result.stderr.decode()


def test_locale(guest: Guest, make_bundle: Make) -> None:
    """UTF-8 arrives as it was typed where the locale knows only ASCII."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = wasmoci("run", make_bundle(guest("show")), "grüße", env=ascii_only)
    assert result.stdout.decode() == "arg 0: /app.wasm\narg 1: grüße\n"


def test_no_bundle(tmp_path: Path) -> None:
    """A directory without a spec is an error that names the file."""
    result = wasmoci("run", tmp_path)
    assert result.returncode == 125
    assert result.stderr.decode().startswith(f"wasmoci: error: {tmp_path}/config.json: ")


def test_variant_warning(guest: Guest, make_bundle: Make) -> None:
    """A variant that nobody knows is warned of."""
    bundle = make_bundle(guest("hello"), annotations={"module.wasm.image/variant": "compact"})
    result = wasmoci("run", bundle, env={"WASMOCI_NATIVE_RUNTIME": "no-such-runtime"})
    assert result.returncode == 127
    assert result.stderr.decode().startswith("wasmoci: warning: ")


def test_closed_stdout(engine: str, guest: Guest, make_bundle: Make) -> None:
    """With its standard output closed a guest can't write into a file that happens to have its number."""
    bundle = make_bundle(guest("hello"))
    before = sorted(path.name for path in bundle.rglob("*"))
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "run", "--engine", engine, str(bundle)]
    result = subprocess.run(command, capture_output=True, check=False, timeout=LIMIT, env=environment())
    assert (result.stdout, result.stderr) == (b"", b"")
    assert sorted(path.name for path in bundle.rglob("*")) == before


def test_reader_that_leaves(engine: str, guest: Guest, make_bundle: Make) -> None:
    """A guest whose reader has gone is told so, and ends."""
    bundle = make_bundle(guest("output"), args=["10000000"])
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [*COMMAND, "run", "--engine", engine, str(bundle)],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
            timeout=LIMIT,
            env=environment(),
        )
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (1, b"")
