"""Wasm containers over real native runtimes: what the guest sees, how it ends, and what is told of it."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import usable
from tests.runtime.containers import LIMIT, Runtime, over_each_native
from tests.support.waiting import ended

pytestmark = pytest.mark.heavy


@over_each_native
def test_a_life(runtime: Runtime) -> None:
    """Created, started, asked for, ended and deleted, as containerd and conmon do it."""
    pid = runtime.create("sleep")
    state = json.loads(runtime.ok("state", "c"))
    assert (state["status"], state["pid"], state["id"]) == ("created", pid, "c")
    assert (state["bundle"], state["annotations"]) == (str(runtime.directory / "bundle1"), {"run.oci.handler": "wasm"})
    runtime.ok("start", "c")
    assert json.loads(runtime.ok("state", "c"))["status"] == "running"
    assert str(runtime.directory / "bundle1") in runtime.ok("list")
    runtime.ok("kill", "c", "15")
    assert ended(pid)
    runtime.ok("delete", "c")
    runtime.ok("delete", "--force", "c")
    assert runtime.call("state", "c").returncode != 0


@over_each_native
@pytest.mark.parametrize(
    ("guest", "args", "status"),
    [("hello", [], 0), ("exit", ["0"], 0), ("exit", ["7"], 7), ("exit", ["255"], 255), ("trap", [], 134)],
)
def test_exit_status(runtime: Runtime, guest: str, args: list[str], status: int) -> None:
    """The guest's own code is the container's."""
    assert runtime.run(guest, *args).returncode == status


def test_a_trap_is_told(runtime: Runtime) -> None:
    """The container's standard error has the engine's message and the backtrace."""
    stderr = runtime.run("trap").stderr.decode()
    assert "wasmoci-runtime: the guest trapped: " in stderr
    assert "\nwasmoci-runtime:   at " in stderr


@pytest.mark.parametrize("name", ["wasmtime", "wasmer", "wasm3"])
def test_engines(runtime: Runtime, name: str) -> None:
    """Arguments, environment and input arrive on the engine that the annotation names."""
    usable(name)
    done = runtime.run("show", "a b", "", "ü", env=["A=1", "B=x=y", "A=2"], annotations={"run.oci.handler": name})
    expected = [
        "arg 0: /app.wasm",
        "arg 1: a b",
        "arg 2: ",
        "arg 3: ü",
        "env: A=1",
        "env: B=x=y",
        "env: A=2",
        "env: HOME=/",
    ]
    assert (done.stdout.decode().splitlines(), done.returncode) == (expected, 0)
    bundle = runtime.bundle("cat", annotations={"run.oci.handler": name})
    assert runtime.call("run", "--bundle", bundle, "cat", stdin=b"\0\xff" * 9).stdout == b"\0\xff" * 9


def test_variables_do_not_reach_the_engine(runtime: Runtime) -> None:
    """A variable that would change the loader or the interpreter is the guest's alone."""
    env = ["LD_PRELOAD=/evil.so", "PYTHONPATH=/evil", "PYTHONSTARTUP=/evil", "LD_LIBRARY_PATH=/.container"]
    done = runtime.run("show", env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines()[1:] == [*(f"env: {variable}" for variable in env), "env: HOME=/"]


def files(runtime: Runtime, *commands: str, **options: object) -> list[str]:
    """What a program does with files: a line for each command."""
    done = runtime.run("files", *" , ".join(commands).split(), **options)
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


@over_each_native
def test_mounts(runtime: Runtime, tmp_path: Path) -> None:
    """Volumes, single files and tmpfs lie where they are to, writable or not, also where the image has a link."""
    for name in ("writable", "readonly", "linked"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name, encoding="utf-8")
    (tmp_path / "hosts").write_text("::1 me", encoding="utf-8")
    lines = files(
        runtime,
        *("write /w/new text", "write /r/new text", "read /r/f", "read /etc/hosts", "read /var/run/linked/f"),
        *("write /tmp/x gone", "read /tmp/x", "write /new there"),
        mounts=[
            (tmp_path / "writable", "/w", "rbind", "rw"),
            (tmp_path / "readonly", "/r", "rbind", "ro"),
            (tmp_path / "hosts", "/etc/hosts", "bind", "ro"),
            (tmp_path / "linked", "/var/run/linked", "rbind"),
            {"type": "tmpfs", "source": "tmpfs", "destination": "/tmp", "options": ["nosuid"]},
        ],
        directories=["/run", "/var"],
        symlinks={"/var/run": "/run"},
    )
    assert [line for line in lines if not line.startswith("wrote")] == [
        "write /r/new: EROFS",
        "read /r/f: readonly",
        "read /etc/hosts: ::1 me",
        "read /var/run/linked/f: linked",
        "read /tmp/x: gone",
    ]
    rootfs = runtime.directory / "bundle1" / "rootfs"
    assert (tmp_path / "writable" / "new").read_text(encoding="utf-8") == "text"
    assert (rootfs / "new").read_text(encoding="utf-8") == "there"
    assert not (rootfs / "tmp" / "x").exists()


@over_each_native
def test_a_read_only_root(runtime: Runtime, tmp_path: Path) -> None:
    """Nothing is written to it; a writable volume on it is still writable."""
    (tmp_path / "volume").mkdir()
    lines = files(
        runtime,
        *("write /x text", "mkdir /d", "rm /app.wasm", "write /v/x text", "read /v/x"),
        mounts=[(tmp_path / "volume", "/v", "rbind", "rw")],
        readonly=True,
    )
    assert lines[:3] == ["write /x: EROFS", "mkdir /d: EROFS", "rm /app.wasm: EROFS"]
    assert lines[-1] == "read /v/x: text"


def test_working_directory(runtime: Runtime) -> None:
    """Relative paths start in the container's working directory."""
    lines = files(runtime, "read f", "read /g", cwd="/work", files={"/work/f": "inner", "/g": "outer"})
    assert lines == ["read f: inner", "read /g: outer"]


@pytest.mark.parametrize("name", ["wasmtime", "wasmer", "wasm3"])
def test_the_staged_root_is_out_of_reach(runtime: Runtime, name: str) -> None:
    """A guest that makes its own WASI calls finds nothing of the interpreter, the engine or the host."""
    usable(name)
    python = str(Path(sys.executable).resolve())
    paths = ["usr", "../usr", "/usr", "../.container", "../../etc/passwd", python, f"..{python}", "proc/self/environ"]
    links = {"/link": "/usr/lib", "/up": "../../../usr", "/proc-link": "/proc/1/root"}
    done = runtime.run(
        "escape",
        *(*paths, "link", "up", "proc-link", "/proc/self/root", ".."),
        symlinks=links,
        readonly=True,
        annotations={"run.oci.handler": name},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    # The mount point of /proc is there, as in any container's root; nothing is in it.
    assert [line for line in done.stdout.decode().splitlines() if " .. directory" not in line] == []


def test_no_privileges(runtime: Runtime) -> None:
    """Whatever the spec gives to a native program, the engine's processes have no capabilities and get no new privileges."""
    everything = {
        kind: ["CAP_SYS_ADMIN", "CAP_CHOWN"] for kind in ("bounding", "effective", "permitted", "inheritable")
    }
    runtime.create("sleep", extra={"process": {"capabilities": everything, "user": {"uid": 1000, "gid": 1000}}})
    runtime.ok("start", "c")
    for pid in json.loads(runtime.ok("ps", "--format", "json", "c")):
        status = dict(
            line.partition(":\t")[::2] for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        )
        sets = {status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        assert (sets, status["NoNewPrivs"], status["Uid"].split()[0]) == ({"0000000000000000"}, "1", "1000")
    runtime.ok("delete", "--force", "c")


@pytest.mark.parametrize("guest", ["loop", "sleep", "cat"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_end_it(runtime: Runtime, guest: str, number: signal.Signals) -> None:
    """Whatever the guest is about, it ends with 128 and the signal's number."""
    with runtime.running(guest) as process:
        runtime.ok("kill", "c", str(int(number)))
        assert process.wait(LIMIT) == 128 + number


@over_each_native
def test_other_signals_do_not(runtime: Runtime) -> None:
    """They are ignored, also where the container shares the host's processes."""
    with runtime.running("sleep", extra={"linux": {"namespaces": [{"type": "mount"}, {"type": "ipc"}]}}) as process:
        for number in (signal.SIGWINCH, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE):
            runtime.ok("kill", "c", str(int(number)))
        assert json.loads(runtime.ok("state", "c"))["status"] == "running"
        runtime.ok("kill", "c", "TERM")
        assert process.wait(LIMIT) == 143


@pytest.mark.parametrize("name", ["wasmer", "wasm3"])
def test_signals_end_every_engine(runtime: Runtime, name: str) -> None:
    """An engine that can't be interrupted is ended all the same."""
    usable(name)
    with runtime.running("loop", annotations={"run.oci.handler": name}) as process:
        runtime.ok("kill", "c", "15")
        assert process.wait(LIMIT) == 143


def test_kill_all(runtime: Runtime) -> None:
    """As containerd does it: all processes at once, and once more when they are gone."""
    pid = runtime.create("loop")
    runtime.ok("start", "c")
    runtime.ok("kill", "--all", "c", "9")
    assert ended(pid)
    runtime.call("kill", "--all", "c", "9")
    runtime.ok("delete", "c")


def test_memory(runtime: Runtime) -> None:
    """The container's limit is the kernel's to hold, and says so when it has ended the guest."""
    done = runtime.run("allocate", memory=48 << 20)
    assert (done.returncode, b"ended by signal 9, as the kernel does" in done.stderr) == (137, True)


def test_pause_and_resume(runtime: Runtime) -> None:
    """A Wasm container is paused and resumed as any other."""
    with runtime.running("sleep") as process:
        runtime.ok("pause", "c")
        assert json.loads(runtime.ok("state", "c"))["status"] == "paused"
        runtime.ok("resume", "c")
        runtime.ok("kill", "c", "15")
        assert process.wait(LIMIT) == 143


@over_each_native
def test_hooks_see_the_callers_bundle(runtime: Runtime) -> None:
    """The state that a hook gets names the bundle that the caller gave, from the first hook to the last."""
    log = runtime.directory / "states"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >>{log}; echo >>{log}"]}
    kinds = ("createRuntime", "poststart", "poststop")
    assert runtime.run("hello", extra={"hooks": {kind: [hook] for kind in kinds}}).returncode == 0
    states = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [state["bundle"] for state in states] == [str(runtime.directory / "bundle1")] * 3


def test_a_name_that_is_taken(runtime: Runtime) -> None:
    """A second container of the same name is refused, and nothing happens to the first."""
    with runtime.running("sleep") as process:
        for command in ("create", "run"):
            done = runtime.call(command, "--bundle", runtime.bundle("hello"), "c")
            assert (done.returncode != 0, b"container with id exists: c" in done.stderr) == (True, True)
        assert json.loads(runtime.ok("state", "c"))["status"] == "running"
        runtime.ok("kill", "c", "15")
        assert process.wait(LIMIT) == 143


def test_forced(runtime: Runtime) -> None:
    """With a handler forced from outside the annotation isn't needed."""
    bundle = runtime.bundle("exit", "7", annotations={})
    assert runtime.call("--handler", "wasm3", "run", "--bundle", bundle, "c").returncode == 7


def test_a_second_run_finds_the_module_compiled(runtime: Runtime) -> None:
    """The engine's process is shown what the cache has, and makes no cache of its own."""
    bundle = runtime.bundle("hello", annotations={"run.oci.handler": "wasmtime"})
    runtime.create("sleep", name="kept", annotations={"run.oci.handler": "wasmtime"})
    record = runtime.records / "kept"
    derived = json.loads((record / "config.json").read_text(encoding="utf-8"))
    (compiled,) = (mount["source"] for mount in derived["mounts"] if mount["destination"] == "/.compiled")
    assert Path(compiled).stat().st_mode & 0o777 == 0o444  # also for a container's user who isn't root
    assert "WASMOCI_CACHE=off" in derived["process"]["env"]
    assert runtime.call("run", "--bundle", bundle, "c").stdout == b"Hello, World!\n"


def test_text(runtime: Runtime) -> None:
    """A module in the text format runs as well, and is compiled on the host."""
    text = b'(module (import "wasi_snapshot_preview1" "proc_exit" (func $e (param i32))) (func (export "_start") i32.const 5 call $e))'
    bundle = runtime.bundle("hello", program="/app.wat")
    (bundle / "rootfs" / "app.wat").write_bytes(text)
    assert runtime.call("run", "--bundle", bundle, "c").returncode == 5
