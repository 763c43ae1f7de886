"""No way leads a guest to a file system of the kernel's: no mount, no link, no call, on no engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.bundles import write_bundle
from tests.trust import components
from tests.wasi.harness import READ, ROOT, WRITE, Guest
from wasmoci.errors import InvalidInput, InvalidMount, UnsupportedWorkload
from wasmoci.oci.filesystem import plan
from wasmoci.oci.spec import Spec
from wasmoci.runtime.interpreter import Interpreter
from wasmoci.runtime.staging import Stage, derive
from wasmoci.wasi import FileTree, Mount, Oflags, Preopen, kernel_filesystems, syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="procfs isn't mounted here")

# Ways to what belongs to the engine's process, or to another, or to the kernel.
PRIVATE = (
    "self/mem", "self/environ", "self/maps", "self/fd/0", "self/fdinfo/0", "self/task/self/mem", "self/root/etc/hostname",
    "self/cwd/x", "self/exe", "self/ns/mnt", "self/map_files/x", "thread-self/mem", "1/environ", "1/mem", "1/root",
    f"{os.getpid()}/mem", "kcore", "kmsg", "sysrq-trigger", "version", "sys/kernel/core_pattern",
)  # fmt: skip


@pytest.fixture(params=["openat2", "walk"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    """A guest whose ``/`` has procfs beneath, and a directory of its own as its second preopen."""
    if request.param == "walk":
        monkeypatch.setattr(syscalls, "openat2_available", lambda **_: False)
    elif not syscalls.openat2_available():
        pytest.skip("this kernel, or its seccomp filter, has no openat2")
    (tmp_path / "file").write_text("")
    preopens = [Preopen("/", "/"), Preopen(tmp_path, "/own")]
    with Guest(preopens=preopens, use_openat2=request.param == "openat2") as guest:
        yield guest


OWN = ROOT + 1
CALLS: dict[str, Callable[[Guest, str], str]] = {
    "open": lambda g, p: g.try_open(p, 0, READ),
    "open to write": lambda g, p: g.try_open(p, 0, READ | WRITE),
    "create": lambda g, p: g.try_open(p, Oflags.CREAT, WRITE),
    "open a directory": lambda g, p: g.try_open(p, Oflags.DIRECTORY, READ),
    "stat": lambda g, p: g.name("path_filestat_get", ROOT, 1, *g.text(p), 64),
    "stat a link": lambda g, p: g.name("path_filestat_get", ROOT, 0, *g.text(p), 64),
    "set times": lambda g, p: g.name("path_filestat_set_times", ROOT, 1, *g.text(p), 0, 0, 10),
    "readlink": lambda g, p: g.name("path_readlink", ROOT, *g.text(p), 64, 99, 0),
    "link": lambda g, p: g.name("path_link", ROOT, 0, *g.text(p), OWN, *g.text("new", 1)),
    "rename": lambda g, p: g.name("path_rename", ROOT, *g.text(p), OWN, *g.text("new", 1)),
    "rename to": lambda g, p: g.name("path_rename", OWN, *g.text("file", 1), ROOT, *g.text(p)),
    "link to": lambda g, p: g.name("path_link", OWN, 0, *g.text("file", 1), ROOT, *g.text(p)),
    "symlink": lambda g, p: g.name("path_symlink", *g.text("x", 1), ROOT, *g.text(p)),
    "unlink": lambda g, p: g.name("path_unlink_file", ROOT, *g.text(p)),
    "remove": lambda g, p: g.name("path_remove_directory", ROOT, *g.text(p)),
    "make": lambda g, p: g.name("path_create_directory", ROOT, *g.text(p)),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_call_reaches_procfs(host: Guest, call: str) -> None:
    """Whatever is asked of a path in procfs, the answer is that it is closed, and nothing is told of what is there."""
    found = {path: CALLS[call](host, f"proc/{path}") for path in PRIVATE}
    assert set(found.values()) == {"ACCES"}, found


@pytest.mark.parametrize("call", ["open a directory", "stat", "stat a link"])
def test_its_root_is_closed(host: Guest, call: str) -> None:
    """There is no descriptor from which a path could go on, and nothing to list."""
    assert CALLS[call](host, "proc") == "ACCES"


def test_links_lead_nowhere(host: Guest, tmp_path: Path) -> None:
    """A link in the guest's root that leads to procfs is as closed as procfs is."""
    for name, target in (("memory", "/proc/self/mem"), ("process", "/proc/self"), ("procfs", "../" * 20 + "proc")):
        (tmp_path / name).symlink_to(target)
    at = str(tmp_path).lstrip("/")
    for path in ("memory", "process", "process/mem", "process/fd/0", "procfs/1/environ"):
        assert host.try_open(f"{at}/{path}", 0, READ) == "ACCES", path


@pytest.mark.parametrize("source", ["/proc", "/proc/self", "/proc/self/environ", "/proc/self/fd", "/proc/sys"])
def test_the_host_takes_none_for_a_mount(tmp_path: Path, source: str) -> None:
    """Whoever uses the WASI host by itself is told, and by name."""
    tree = FileTree(tmp_path, mounts=[Mount(source, "/p")])
    with pytest.raises(InvalidMount, match="of proc, a file system of the kernel's"):
        Guest(preopens=tree.preopens())


def test_the_host_takes_none_for_a_root() -> None:
    """Nor is a root of the kernel's a root."""
    with pytest.raises(InvalidInput, match="of proc, a file system of the kernel's"):
        Guest(Path("/proc"))


def bundle(tmp_path: Path, wasm: Path | str, *mounts: tuple[str, str]) -> Path:
    """A bundle with bind mounts."""
    made = write_bundle(tmp_path / "bundle", wasm)
    config = made / "config.json"
    document = json.loads(config.read_text())
    document["mounts"] = [
        {"source": source, "destination": place, "type": "bind", "options": ["rbind"]} for source, place in mounts
    ]
    config.write_text(json.dumps(document))
    return made


@pytest.mark.parametrize(
    ("source", "place", "errno"),
    [
        ("/proc", "/p", "ENOENT"),
        ("/proc/self", "/p/self", "ENOENT"),
        ("LINK", "/p", "ENOENT"),
        ("/", "/host", "EACCES"),
    ],
)
@pytest.mark.parametrize("isolation", [None, "process"])
def test_mounts_on_every_engine(
    tmp_path: Path, guest: Callable[..., Path], engine: str, source: str, place: str, errno: str, isolation: str | None
) -> None:
    """A mount of procfs is left out; one with procfs beneath is there, and procfs is closed."""
    if source == "LINK":
        source = str(tmp_path / "link")
        Path(source).symlink_to("/proc")
    made = bundle(tmp_path, guest("files"), (source, place))
    at = {"/host": "/host/proc", "/p/self": "/p"}.get(place, place)
    commands = [
        word
        for path in ("self/mem", "self/environ", "self/fd/0", "1/environ", "self/cwd")
        for call in ("read", "list", "stat", "readlink", "rm")
        for word in (call, f"{at}/{path}", ",")
    ]
    result = wasmoci.run(made, engine=engine, args=commands[:-1], isolation=isolation)
    lines = (result.stdout or b"").decode().splitlines()
    assert len(lines) == 25
    assert {line.rpartition(": ")[2] for line in lines} == {errno}, lines


def test_explain_lists_what_is_left_out(tmp_path: Path, guest: Callable[..., Path]) -> None:
    """It is told, as for a mount by type."""
    usable("wasmtime")
    found = wasmoci.explain(bundle(tmp_path, guest("files"), ("/proc", "/p"), ("/proc/self/environ", "/e")))
    left_out = found.to_dict()["guest"]["left_out"]
    assert [item for item in left_out if item["type"] == "proc"] == [
        {"path": "/p", "type": "proc"},
        {"path": "/e", "type": "proc"},
    ]


DEVICES = next((mount.path.decode() for mount in kernel_filesystems.mount_points() if mount.kind == "devtmpfs"), None)


@pytest.mark.skipif(DEVICES is None, reason="no devtmpfs is mounted here")
def test_devices_are_left_out(tmp_path: Path) -> None:
    """A guest has no devices, so a mount of the host's is none."""
    spec = Spec.from_dict(
        {
            "ociVersion": "1.0.2",
            "mounts": [{"source": DEVICES, "destination": "/d", "type": "bind"}],
            "root": {"path": "."},
        }
    )
    assert plan(spec, tmp_path).omitted == (("/d", "devtmpfs"),)


def test_components_get_no_directory_with_procfs_in_it(tmp_path: Path) -> None:
    """Such a directory is refused, and named, for wasmtime opens whatever a component asks for."""
    usable("wasmtime")
    made = bundle(tmp_path, components.opening("x"), ("/", "/host"))
    for isolation in (None, "inline"):
        with pytest.raises(UnsupportedWorkload, match="within the guest's /host"):
            wasmoci.run(made, engine="wasmtime", isolation=isolation)


def test_components_get_nothing_that_is_mounted_for_another_process(tmp_path: Path) -> None:
    """What is beneath such a directory is on no list of this process's."""
    usable("wasmtime")
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a mount namespace of its own takes privileges")
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs {tmp_path} && echo ready && read _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        try:
            if other.stdout.readline() != b"ready\n":
                pytest.skip("nothing can be mounted here")
            made = write_bundle(tmp_path / "bundle", components.opening("x"))
            config = json.loads((made / "config.json").read_text())
            place = f"/proc/{other.pid}/root{tmp_path}"
            config["mounts"] = [{"source": place, "destination": "/other", "type": "bind", "options": ["rbind"]}]
            (made / "config.json").write_text(json.dumps(config))
            with pytest.raises(UnsupportedWorkload, match="for another process"):
                wasmoci.run(made, engine="wasmtime", isolation="inline")
        finally:
            other.communicate(b"\n")


def test_components_get_no_mount_of_procfs(tmp_path: Path) -> None:
    """Such a mount is left out for a component as for any other."""
    usable("wasmtime")
    made = bundle(tmp_path, components.opening("p/self/mem"), ("/proc", "/p"))
    assert components.error(wasmoci.run(made, engine="wasmtime").exit_code) == "no-entry"


def test_components_are_refused_where_nobody_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a list of what is mounted nothing is taken for harmless."""
    usable("wasmtime")
    monkeypatch.setattr(kernel_filesystems, "_MOUNTS", str(tmp_path / "missing"))
    made = bundle(tmp_path, components.opening("x"))
    with pytest.raises(UnsupportedWorkload, match="nobody can tell"):
        wasmoci.run(made, engine="wasmtime", isolation="inline")


def test_containers_get_no_bind_of_procfs(tmp_path: Path) -> None:
    """It isn't even mounted where the guest's files are; the engine's own procfs stays outside of them."""
    document = {
        "process": {"args": ["/app.wasm"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [
            {"source": "/proc", "destination": "/host/proc", "type": "bind", "options": ["rbind"]},
            {"source": str(tmp_path), "destination": "/data", "type": "bind", "options": ["rbind"]},
        ],
    }
    interpreter = Interpreter(command=("python",), path=(), directories=())
    stage = Stage(root=tmp_path, rootfs=tmp_path, interpreter=interpreter, variables=())
    places = [mount["destination"] for mount in derive(document, stage)["mounts"]]
    assert "/.container/data" in places
    assert not [place for place in places if place.endswith("/host/proc")]
