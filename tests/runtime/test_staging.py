"""The derived spec, and where mounts come to lie."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wasmoci.errors import InvalidMount, UnsupportedWorkload
from wasmoci.runtime.interpreter import Interpreter
from wasmoci.runtime.mount_destinations import Destinations
from wasmoci.runtime.staging import COMPILED, ROOTFS, Stage, derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.runtime.containers import Runtime

INTERPRETER = Interpreter(command=("/py", "-I", "init.py"), path=("/lib",), directories=("/usr", "/opt/python"))


def stage(tmp_path: Path, **more: Any) -> Stage:
    """A stage for the root file system in a directory of the test's."""
    (tmp_path / "rootfs").mkdir(exist_ok=True)
    return Stage(root=Path("/stage"), rootfs=tmp_path / "rootfs", interpreter=INTERPRETER, variables=["X=1"], **more)


def spec(**more: Any) -> dict[str, Any]:
    """A caller's spec."""
    process = {
        "args": ["/app.wasm", "a"],
        "env": ["LD_PRELOAD=/evil.so"],
        "cwd": "/work",
        "user": {"uid": 5},
        "terminal": True,
        "capabilities": {"bounding": ["CAP_SYS_ADMIN"], "ambient": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}],
    }
    return {"ociVersion": "1.0.2", "process": process, "root": {"path": "rootfs"}, "mounts": [], **more}


def bind(source: str | Path, destination: str, *options: str) -> dict[str, Any]:
    """A bind mount."""
    return {"type": "bind", "source": str(source), "destination": destination, "options": list(options)}


def test_process(tmp_path: Path) -> None:
    """The engine's process has the container's user, terminal and limits, and none of its capabilities and variables."""
    process = derive(spec(), stage(tmp_path))["process"]
    assert process["args"] == ["/py", "-I", "init.py", "/app.wasm", "a"]
    # The native runtime makes the working directory where it is missing.
    assert (process["env"], process["cwd"], process["noNewPrivileges"]) == (["X=1"], f"{ROOTFS}/work", True)
    assert all(names == [] for names in process["capabilities"].values())
    assert (process["user"], process["terminal"], len(process["rlimits"])) == ({"uid": 5}, True, 1)


@pytest.mark.parametrize(
    "spelt", [str.upper, str.title, lambda name: name.replace("s", "\u017f"), lambda name: f"{name}\0x"]
)
def test_no_other_spelling_of_what_is_ours(tmp_path: Path, spelt: Callable[[str], str]) -> None:
    """What a native runtime would take for the process or the root, as runc does names in another case, isn't handed on."""
    document = spec(annotations={"A": "b", "a": "c"})
    document["process"] |= {spelt("args"): ["/bin/sh"], spelt("capabilities"): {}, "noNewPrivileges": False}
    document["root"][spelt("readonly")] = False
    document |= {spelt("process"): {"args": ["/bin/sh"]}, spelt("mounts"): [bind("/", "/host")], "linux": {}}
    derived = derive(document, stage(tmp_path))
    plain = derive(spec(annotations={"A": "b", "a": "c"}, linux={}), stage(tmp_path))
    assert derived == plain


def test_the_rest_is_the_callers(tmp_path: Path) -> None:
    """Hooks, namespaces, seccomp, annotations and whatever else is there stay as they are, and the caller's document too."""
    more = {"hooks": {"poststop": []}, "linux": {"seccomp": {"defaultAction": "A"}}, "annotations": {"a": "b"}, "x": 1}
    document = spec(**more)
    before = json.dumps(document)
    derived = derive(document, stage(tmp_path))
    assert {key: derived[key] for key in more} == more
    assert json.dumps(document) == before


def test_mounts(tmp_path: Path) -> None:
    """The kernel's interfaces lie where they were, the container's mounts on its root, and the engine above all of them."""
    mounts = [
        {"type": "proc", "source": "proc", "destination": "/proc"},
        {"type": "tmpfs", "source": "tmpfs", "destination": "/dev"},
        {"type": "devpts", "source": "devpts", "destination": "/dev/pts"},
        bind("/sys", "/sys", "rbind"),
        bind("/data", "/data", "rbind", "ro"),
        {"type": "tmpfs", "source": "tmpfs", "destination": "/tmp", "options": ["size=1m"]},
        {"type": "overlay", "source": "overlay", "destination": "/o", "options": ["lowerdir=/a"]},
    ]
    derived = derive(spec(mounts=mounts), stage(tmp_path, compiled=Path("/cache/entry")))
    assert [mount["destination"] for mount in derived["mounts"]] == [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/tmp",
        ROOTFS,
        f"{ROOTFS}/dev",
        f"{ROOTFS}/data",
        f"{ROOTFS}/tmp",
        f"{ROOTFS}/o",
        "/usr",
        "/opt/python",
        COMPILED,
    ]
    options = {mount["destination"]: mount.get("options") for mount in derived["mounts"]}
    assert (options[f"{ROOTFS}/data"], options[f"{ROOTFS}/tmp"]) == (["rbind", "ro"], ["size=1m"])
    assert {"ro", "nosuid", "nodev"} <= set(options["/usr"])
    assert derived["root"] == {"path": "/stage", "readonly": True}


def test_a_read_only_root(tmp_path: Path) -> None:
    """It becomes so with the read-only paths, when everything is mounted: until then mount points are made in it."""
    document = spec(root={"path": "rootfs", "readonly": True}, linux={"readonlyPaths": ["/kept"], "namespaces": []})
    derived = derive(document, stage(tmp_path))
    assert derived["linux"] == {"readonlyPaths": [ROOTFS, f"{ROOTFS}/kept"], "namespaces": []}
    assert derived["mounts"] == derive(spec(), stage(tmp_path))["mounts"]


@pytest.mark.parametrize("name", ["startContainer", "STARTCONTAINER", "startContainer\0x"])
def test_hooks_of_the_container(tmp_path: Path, name: str) -> None:
    """Hooks that are programs of the container's are refused, however they are spelt; all others stay."""
    with pytest.raises(UnsupportedWorkload, match=r"\$\.hooks\.startContainer"):
        derive(spec(hooks={name: [{"path": "/hook"}]}), stage(tmp_path))
    hooks: dict[str, Any] = {"createContainer": [{"path": "/hook"}], "startContainer": []}
    assert derive(spec(hooks=hooks), stage(tmp_path))["hooks"] == hooks


@pytest.mark.parametrize("keep", [True, False])
def test_annotations(tmp_path: Path, keep: bool) -> None:  # noqa: FBT001
    """A native runtime with engines of its own doesn't see what would make it use them."""
    annotations = {
        "run.oci.handler": "wasm",
        "module.wasm.image/variant": "compat",
        "module.wasm.image/variant.a": "compat",
        "other": "x",
    }
    derived = derive(spec(annotations=annotations), stage(tmp_path, keep_annotations=keep))
    assert derived["annotations"] == (annotations if keep else {"other": "x"})


@pytest.mark.parametrize("keep", [True, False])
def test_annotations_that_open_the_sandbox(tmp_path: Path, keep: bool) -> None:  # noqa: FBT001
    """No annotation has crun load a library for a Wasm container, take another filter, or write to a file of the host."""
    opening = ("run.oci.seccomp.plugins", "run.oci.seccomp_bpf_data", "run.oci.hooks.stdout", "run.oci.hooks.stderr")
    annotations = {**dict.fromkeys(opening, "x"), "run.oci.keep_original_groups": "1"}
    derived = derive(spec(annotations=annotations), stage(tmp_path, keep_annotations=keep))
    assert derived["annotations"] == {"run.oci.keep_original_groups": "1"}


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("/data", "/data"),
        ("data/./x//", "/data/x"),
        ("/absolute/x", "/run/x"),
        ("/relative/x", "/run/x"),
        ("/up/x", "/run/x"),
        ("/out/x", "/x"),
        ("/new/../a", "/a"),
        ("/mounted/link/x", "/mounted/elsewhere/x"),
        ("/mounted/absolute/x", "/run/x"),
        ("/memory/absolute/x", "/memory/absolute/x"),
    ],
)
def test_destinations(tmp_path: Path, destination: str, expected: str) -> None:
    """Links are followed inside the root file system and the mounts before, and lead nowhere else."""
    rootfs, volume = tmp_path / "rootfs", tmp_path / "volume"
    for directory in (rootfs / "run", rootfs / "memory", volume):
        directory.mkdir(parents=True)
    (rootfs / "absolute").symlink_to("/run")
    (rootfs / "relative").symlink_to("run")
    (rootfs / "up").symlink_to("../../run")
    (rootfs / "out").symlink_to("../../../../../..")
    (rootfs / "memory" / "absolute").symlink_to("/run")
    (volume / "link").symlink_to("elsewhere")
    (volume / "absolute").symlink_to("/run")
    destinations = Destinations(rootfs)
    destinations.add(bind(volume, "/mounted"))
    destinations.add({"type": "tmpfs", "destination": "/memory"})
    assert destinations.add(bind("/x", destination)) == expected


@pytest.mark.parametrize("destination", ["/", "//./", "/loop/x", "/out"])
def test_no_destination(tmp_path: Path, destination: str) -> None:
    """The root itself and a loop of links are refused."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "out").symlink_to("/")
    with pytest.raises(InvalidMount):
        Destinations(tmp_path).add(bind("/x", destination))


def test_mounts_beneath_the_system_are_read_only_too(runtime: Runtime, tmp_path: Path) -> None:
    """A file system that the host has mounted beneath /usr can't be written to from the container either."""
    (tmp_path / "share").mkdir()
    bundle = runtime.bundle("sleep")
    inner = f'mount --bind "{tmp_path}/share" /usr/local/share && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", inner, "sh", *runtime.command("create", "--bundle", bundle, "c")]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, timeout=60, **silent)
    pid = json.loads(runtime.ok("state", "c"))["pid"]
    runtime.ok("start", "c")
    flags = {}
    for line in Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        flags[fields[4]] = fields[5].split(",")[0]
    assert (flags["/usr"], flags["/usr/local/share"]) == ("ro", "ro")
