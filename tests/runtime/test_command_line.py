"""What is understood of a command line."""

from __future__ import annotations

import pytest

from wasmoci.runtime.command_line import Invocation

LITERAL = {
    "conmon": (
        "--log-format=json --log /l create --bundle /b --pid-file /p --console-socket /s ID",
        ("create", "ID", None, "/b"),
    ),
    "containerd": (
        "--root /r --log /f --log-format json create --bundle /b --pid-file /p ID",
        ("create", "ID", "/r", "/b"),
    ),
    "podman's systemd": ("--systemd-cgroup create --bundle=/b ID", ("create", "ID", None, "/b")),
    "podman without cgroups": ("--cgroup-manager disabled create -b /b ID", ("create", "ID", None, "/b")),
    "kill": ("--root=/r kill ID 15", ("kill", "ID", "/r", None)),
    "kill all": ("--root /r kill --all ID 9", ("kill", "ID", "/r", None)),
    "delete": ("delete --force ID", ("delete", "ID", None, None)),
    "exec": ("exec --pid-file /p --process /j --detach --tty ID", ("exec", "ID", None, None)),
    "exec of a program": ("exec -e A=1 --user 5 ID /app.wasm --bundle /x", ("exec", "ID", None, None)),
    "options behind the id": ("run ID --bundle /b", ("run", "ID", None, "/b")),
    "a short option with its value": ("run -b/b ID", ("run", "ID", None, "/b")),
    "after two dashes": ("delete -- ID", ("delete", "ID", None, None)),
    "an unknown option with a value": ("--criu /c --new-thing 5 start ID", ("start", "ID", None, None)),
    "a root that is called as a command": ("--root run state ID", ("state", "ID", "run", None)),
    "nothing": ("", ("", None, None, None)),
    "version": ("--version", ("", None, None, None)),
    "an unknown command": ("frobnicate ID", ("frobnicate", "ID", None, None)),
}


@pytest.mark.parametrize(("line", "expected"), LITERAL.values(), ids=LITERAL)
def test_what_a_call_is_about(line: str, expected: tuple[str | None, ...]) -> None:
    """The command, the container, the root and the bundle are found wherever they stand."""
    call = Invocation(["wasmoci-runtime", *line.split()])
    found = (call.command, call.container(), call.root, call.parsed().value("bundle", "b"))
    assert found == expected


@pytest.mark.parametrize(
    ("line", "forced", "native", "passed"),
    [
        ("--handler wasm3 --root /r create ID", "wasm3", None, ["--root", "/r"]),
        ("--root /r --handler=wasm --debug run ID", "wasm", None, ["--root", "/r", "--debug"]),
        ("--native-runtime /x/crun --log /l start ID", None, "/x/crun", ["--log", "/l"]),
        ("--native-runtime=runc --criu /c --new 5 start ID", None, "runc", ["--criu", "/c", "--new", "5"]),
    ],
)
def test_own_options(line: str, forced: str | None, native: str | None, passed: list[str]) -> None:
    """Our own options are taken out; all others are left in their order."""
    call = Invocation(["wasmoci-runtime", *line.split()])
    assert (call.forced, call.native_runtime, call.passed) == (forced, native, passed)


@pytest.mark.parametrize(
    ("name", "forced"),
    [("/usr/bin/crun-wasm", "wasm"), ("wasmoci-wasm", "wasm"), ("wasmoci-runtime", None), ("/usr/bin/crun", None)],
)
def test_forced_by_name(name: str, forced: str | None) -> None:
    """Called as crun-wasm or wasmoci-wasm, the program makes every container Wasm."""
    assert Invocation([name, "create", "ID"]).forced == forced


def test_options_of_a_program_are_its_own() -> None:
    """What follows an exec's container is the program and its arguments, whatever it looks like."""
    call = Invocation(["wasmoci-runtime", "exec", "-t", "ID", "/app.wasm", "-e", "X", "--cwd", "/"])
    options = call.parsed()
    assert (options.rest, options.value("cwd")) == (["ID", "/app.wasm", "-e", "X", "--cwd", "/"], None)
