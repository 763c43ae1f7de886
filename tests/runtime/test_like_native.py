"""What a Wasm container gets that a spec doesn't say, beside the same with a native one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.runtime.containers import Runtime, over_each_native
from tests.support.guests import build

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:\nempty:x:1001:1001:::\n"


def _home(output: bytes) -> list[str]:
    return [line[5:] for line in output.decode().splitlines() if line.startswith("env: HOME=")]


@over_each_native
@pytest.mark.parametrize(
    ("uid", "env", "expected"),
    [
        (0, [], "/root"),
        (1000, [], "/home/app"),
        (1001, [], "/"),
        (7, [], "/"),
        (1000, ["HOME=/mine"], "/mine"),
    ],
)
def test_home(runtime: Runtime, uid: int, env: list[str], expected: str) -> None:
    """``HOME`` is what the container's own passwd says of the user, unless the spec has one."""
    user = {"process": {"user": {"uid": uid, "gid": 0}}}
    done = runtime.run("show", files={"/etc/passwd": ACCOUNTS}, env=env, extra=user)
    assert _home(done.stdout) == [f"HOME={expected}"], done.stderr


def test_home_in_exec(runtime: Runtime) -> None:
    """A program that is executed has that of its own user."""
    files: dict[str, Any] = {"/etc/passwd": ACCOUNTS, "/show.wasm": build("show").read_bytes()}
    with runtime.running("sleep", files=files):
        assert _home(runtime.call("exec", "c", "/show.wasm").stdout) == ["HOME=/root"]
        assert _home(runtime.call("exec", "--user", "1000", "c", "/show.wasm").stdout) == ["HOME=/home/app"]


@over_each_native
def test_a_missing_working_directory(runtime: Runtime, tmp_path: Path) -> None:
    """It is made among the container's files, on a volume and through a link as well."""
    (tmp_path / "volume").mkdir()
    for cwd, place in (("/new/dir", "new/dir"), ("/link/dir", "real/dir")):
        bundle = runtime.bundle("files", "write", "x", "x", directories=["/real"], extra={"process": {"cwd": cwd}})
        (bundle / "rootfs" / "link").symlink_to("/real")
        done = runtime.call("run", "--bundle", bundle, "c")
        assert (done.stdout, done.stderr) == (b"wrote x: 1\n", b"")
        assert (bundle / "rootfs" / place / "x").exists()
    mounts = [(tmp_path / "volume", "/volume", "rbind"), {"type": "tmpfs", "destination": "/tmp"}]
    for cwd in ("/volume/new", "/tmp/new"):
        done = runtime.run("files", "write", "x", "x", mounts=mounts, extra={"process": {"cwd": cwd}})
        assert (done.stdout, done.stderr) == (b"wrote x: 1\n", b"")
    assert (tmp_path / "volume" / "new" / "x").exists()


@over_each_native
def test_an_init(runtime: Runtime) -> None:
    """A program behind an init has its own arguments and exit status."""
    init = ["/run/podman-init", "--", "/app.wasm", "7", "exit"]
    assert runtime.run("exit", extra={"process": {"args": init}}).returncode == 7


@over_each_native
def test_a_module_on_an_overlay(runtime: Runtime, tmp_path: Path) -> None:
    """It is found in the layer that has it, also where a link or a search leads there."""
    lower, upper, work = (tmp_path / name for name in ("lower", "upper", "work"))
    for directory in (lower, upper, work):
        directory.mkdir()
    (lower / "show.wasm").write_bytes(build("show").read_bytes())
    options = [f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}"]
    mount = {"type": "overlay", "source": "overlay", "destination": "/m", "options": options}
    for program in ("/m/show.wasm", "../m/show.wasm", "show.wasm"):
        process = {"args": [program, "x"], "env": ["PATH=/nowhere:/m"], "cwd": "/work"}
        done = runtime.run("hello", directories=["/work"], mounts=[mount], extra={"process": process})
        assert done.stdout.decode().splitlines()[1:2] == ["arg 1: x"], done.stderr
    (upper / "show.wasm").write_bytes(build("hello").read_bytes())
    done = runtime.run("exit", mounts=[mount], extra={"process": {"args": ["/m/show.wasm"], "cwd": "/"}})
    assert done.stdout == b"Hello, World!\n"
    (upper / "show.wasm").unlink()
    subprocess.run(["mknod", upper / "show.wasm", "c", "0", "0"], check=True)
    done = runtime.run("hello", mounts=[mount], extra={"process": {"args": ["/m/show.wasm"], "cwd": "/"}})
    assert done.returncode == 127


@pytest.mark.parametrize(("options", "status"), [(["tmpcopyup"], 0), ([], 127)])
def test_a_module_on_a_tmpfs(runtime: Runtime, options: list[str], status: int) -> None:
    """It is there where the native runtime copies what the tmpfs lies on, and else it isn't."""
    mount = {"type": "tmpfs", "source": "tmpfs", "destination": "/bin", "options": options}
    files = {"/bin/show.wasm": build("show").read_bytes()}
    done = runtime.run(
        "hello", files=files, mounts=[mount], extra={"process": {"args": ["/bin/show.wasm"], "cwd": "/"}}
    )
    assert done.returncode == status, done.stderr
