"""Native containers: the native runtime gets the call as it came, and little is imported for it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.runtime.containers import PROGRAM
from wasmoci.oci.annotations import HANDLER, VARIANT, mentioned

if TYPE_CHECKING:
    from pathlib import Path

RECORDER = """#!/bin/sh
printf '%s\\n' "$@" >"$(dirname "$0")/arguments"
pwd >>"$(dirname "$0")/arguments"
cat
echo "to the standard error" >&2
exit 42
"""
HEAVY = {
    "attr",
    "json",
    "re",
    "typing",
    "enum",
    "pathlib",
    "subprocess",
    "argparse",
    "contextlib",
    "wasmtime",
    "stevedore",
}


@pytest.fixture
def native(tmp_path: Path) -> Path:
    """A native runtime that writes down how it was called, copies its input, and exits with 42."""
    program = tmp_path / "runc"
    program.write_text(RECORDER, encoding="utf-8")
    program.chmod(0o755)
    return program


def bundle(directory: Path, **annotations: str) -> Path:
    """A bundle of a native program."""
    (directory / "rootfs").mkdir(parents=True)
    document = {
        "ociVersion": "1.0.2",
        "process": {"args": ["/bin/true"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "annotations": annotations,
    }
    (directory / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return directory


@pytest.mark.parametrize(
    "line",
    [
        "--root /r --log /l --log-format json create --bundle B --pid-file /p ID",
        "--systemd-cgroup create --bundle B --console-socket /s --new-option ID",
        "start ID",
        "--debug kill --all ID 9",
        "delete --force ID",
        "ps --format json ID",
        "update --resources - ID",
        "exec --process /f --detach --pid-file /p ID",
        "list --format json",
        "unknown-command --with option",
        "",
    ],
)
def test_a_call_arrives_as_it_came(native: Path, tmp_path: Path, line: str) -> None:
    """Arguments, directory, streams and exit status are the native runtime's own."""
    arguments = line.replace("B", str(bundle(tmp_path / "b"))).split()
    done = subprocess.run(
        [*PROGRAM, "--native-runtime", native, *arguments], input=b"in", capture_output=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (42, b"in", b"to the standard error\n")
    assert (tmp_path / "arguments").read_text(encoding="utf-8").split() == [*arguments, str(tmp_path)]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("runc", ["--cgroup-manager", "systemd"], ["--systemd-cgroup"]),
        ("runc", ["--cgroup-manager=cgroupfs"], [""]),
        ("crun", ["--cgroup-manager", "systemd"], ["--cgroup-manager", "systemd"]),
    ],
)
def test_the_manager_of_cgroups(
    native: Path, tmp_path: Path, name: str, options: list[str], expected: list[str]
) -> None:
    """It is named in the words of the native runtime."""
    program = native.rename(tmp_path / name)
    subprocess.run([*PROGRAM, "--native-runtime", program, *options], capture_output=True, cwd=tmp_path, check=False)
    assert (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()[:-1] == expected


def test_without_path(native: Path, tmp_path: Path) -> None:
    """With no PATH in the environment, as conmon calls it at the end, it works all the same."""
    done = subprocess.run(
        [*PROGRAM, "--native-runtime", native, "delete", "--force", "ID"], capture_output=True, check=False, env={}
    )
    assert (done.returncode, (tmp_path / "arguments").exists()) == (42, True)


def test_little_is_imported(tmp_path: Path) -> None:
    """A native container costs no import that takes time."""
    code = (
        "import sys; before = set(sys.modules); import wasmoci.runtime.main as m, os;"
        " os.execv = lambda *_: print(*(set(sys.modules) - before)); m.main(['x', *sys.argv[1:]])"
    )
    arguments = ["--native-runtime", "/bin/true", "create", "--bundle", bundle(tmp_path / "b"), "ID"]
    # -S: what the environment itself imports at its start is not ours.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}", *arguments],
        capture_output=True,
        check=True,
        text=True,
    )
    assert set(done.stdout.split()) & HEAVY == set()


def test_a_native_runtime_that_is_this_one(tmp_path: Path) -> None:
    """Standing in for the native runtime in PATH, the program doesn't call itself for ever."""
    script = tmp_path / "runc"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = {sys.path!r}\n"
        "from wasmoci.runtime.main import program\nprogram()\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    done = subprocess.run(
        [script, "list"], capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)}, timeout=60
    )
    assert (done.returncode, "none of crun, runc, youki is installed" in done.stderr) == (127, True)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"{}", False),
        (b'{"annotations": {"io.podman.annotations.autoremove": "TRUE"}}', False),
        (json.dumps({"annotations": {HANDLER: "wasm"}}).encode(), True),
        (json.dumps({"annotations": {VARIANT: "compat"}}).encode(), True),
        (json.dumps({"annotations": {f"{VARIANT}.shop": "compat"}}).encode(), True),
        (rb'{"annotations": {"module.wasm.image\/variant": "compat"}}', True),
        (rb'{"annotations": {"run\u002eoci.handler": "wasm"}}', True),
        (rb'{"annotations": {"\u0072un.oci.handler": "wasm"}}', True),
        (rb'{"process": {"env": ["A=\u003cb\u003e"]}}', False),
    ],
)
def test_mentioned(document: bytes, expected: bool) -> None:  # noqa: FBT001
    """No spelling of an annotation is overlooked."""
    assert mentioned(document) is expected
