"""Labels and annotations of an image: a spec gets those of an allow-list, whichever way it comes, and is told of the others."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wasmoci
from tests.cli.command import wasmoci as command
from tests.image.making import WASM, finish, make_layout, member, put_image, tar
from tests.support.requirements import require
from wasmoci.errors import InvalidImage
from wasmoci.image import as_bundle, open_image, pull, unpack
from wasmoci.image.running.native_confinement import CAPABILITIES
from wasmoci.image.running.seccomp import profile
from wasmoci.oci.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.heavy

# (module (func (export "_start")))
PROGRAM = bytes.fromhex("0061736d0100000001040160000003020100070a01065f737461727400000a040102000b")
HANDLER, VARIANT = "run.oci.handler", "module.wasm.image/variant"
PROFILE = Path("/usr/share/containers/seccomp.json")

HOSTILE = {
    "run.oci.seccomp.plugins": "/evil.so",
    "run.oci.seccomp_bpf_data": "BgAAAAAA/38=",
    "run.oci.hooks.stdout": "/etc/cron.d/x",
    "run.oci.hooks.stderr": "/etc/cron.d/y",
    "run.oci.keep_original_groups": "1",
    "run.oci.handler": "wasm3",
    "run.oci.handler ": "wasm",
    " run.oci.handler": "wasm",
    "Run.oci.handler": "wasm",
    "run.oci.handler\n": "wasm",
    "org.systemd.property.ExecStart": "'/bin/sh'",
    "org.criu.config": "/etc/shadow",
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri-o.ContainerType": "sandbox",
    "io.kubernetes.container.name": "web",
    "module.wasm.image/variantx": "compat",
    "module.wasm.image/variant.": "compat",
    "module.wasm.image/variant.a/b": "compat",
    "module.wasm.image/other": "compat",
    "org.opencontainers.image": "x",
    "org.opencontainers.image.": "x",
    "org.opencontainers.images.x": "x",
    "maintainer": "somebody",
    "": "empty",
    "escape\x1b[2J\r\n\x7f\x9b": "\x1b[2J",
}
"""What native runtimes, engines and the classification itself act on, and what only looks as if it were allowed."""

ALLOWED = {
    "org.opencontainers.image.title": "t",
    "org.opencontainers.image.base.digest": "sha256:0",
    "module.wasm.image/variant.web-1": "compat",
}


def layout(path: Path, *, labels: dict[str, str], annotations: dict[str, str], **options: Any) -> str:
    """A reference to an image with a program that is WebAssembly."""
    config = {"Cmd": ["/hello.wasm"], "Labels": labels}
    made = make_layout(path, tar(member("hello.wasm", data=WASM)), config=config, annotations=annotations, **options)
    return f"oci:{made}"


def by_unpacking(reference: str, directory: Path) -> dict[str, str]:
    """The annotations that ``wasmoci unpack`` writes."""
    with open_image(reference) as image:
        unpack(image, directory / "bundle")
    return Spec.load(directory / "bundle" / "config.json").annotations


def by_running(reference: str, directory: Path) -> dict[str, str]:
    """The annotations that a run has, and its file."""
    del directory
    with as_bundle(reference) as bundle:
        assert Spec.load(bundle.path / "config.json").annotations == bundle.spec.annotations
        return bundle.spec.annotations


def by_the_store(reference: str, directory: Path) -> dict[str, str]:
    """The annotations of an image that was pulled before."""
    pull(reference, name="x")
    return by_running("x", directory)


def by_an_index(reference: str, directory: Path) -> dict[str, str]:
    """The annotations of an image whose descriptor and index have annotations as well."""
    path = Path(reference.partition(":")[2])
    index = json.loads((path / "index.json").read_text())
    index["manifests"][0]["annotations"] = dict(HOSTILE)
    index["annotations"] = dict(HOSTILE)
    (path / "index.json").write_text(json.dumps(index))
    return by_running(reference, directory)


WAYS = [by_unpacking, by_running, by_the_store, by_an_index]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["labels", "annotations"])
def test_only_what_is_allowed(tmp_path: Path, place: str, way: Callable[[str, Path], dict[str, str]]) -> None:
    """Of labels and of a manifest's annotations a spec has those of the list, and no other."""
    given: dict[str, dict[str, str]] = {"labels": {}, "annotations": {}, place: {**HOSTILE, **ALLOWED}}
    found = way(layout(tmp_path / "layout", **given), tmp_path)
    assert found == {
        "org.opencontainers.image.os": "linux",
        "org.opencontainers.image.architecture": "amd64",
        **ALLOWED,
    }


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("wasm", True),
        ("wasm-smart", True),
        *((value, False) for value in ("wasm3", "wasmtime", "krun", "", "Wasm", "wasm ", "wasm\n", "wasm-smart,krun")),
    ],
)
@pytest.mark.parametrize("place", ["labels", "annotations"])
def test_handler(tmp_path: Path, place: str, value: str, kept: bool) -> None:  # noqa: FBT001
    """An image may say that it is Wasm, and doesn't choose what runs it."""
    given: dict[str, dict[str, str]] = {"labels": {}, "annotations": {}, place: {HANDLER: value}}
    with as_bundle(layout(tmp_path / "layout", **given)) as bundle:
        assert bundle.spec.annotations.get(HANDLER) == (value if kept else None)
        assert wasmoci.classify(bundle.spec, bundle.rootfs).engine is None


def test_annotation_that_is_left_out_hides_no_label(tmp_path: Path) -> None:
    """What is left out doesn't take the place of what is kept."""
    reference = layout(tmp_path / "layout", labels={HANDLER: "wasm"}, annotations={HANDLER: "wasm3"})
    with as_bundle(reference) as bundle:
        assert bundle.spec.annotations[HANDLER] == "wasm"


def test_caller_may_annotate(tmp_path: Path) -> None:
    """The list is for images: a caller's own annotations are in the spec."""
    reference = layout(tmp_path / "layout", labels=HOSTILE, annotations={})
    with as_bundle(reference, annotations={HANDLER: "wasm3"}) as bundle:
        assert bundle.spec.annotations[HANDLER] == "wasm3"


def test_image_is_no_sandbox(tmp_path: Path) -> None:
    """An image for Wasm can't make itself native by the words of a container engine."""
    labels = {"io.kubernetes.cri.container-type": "sandbox"}
    reference = layout(tmp_path / "layout", labels=labels, annotations={}, target=("wasi", "wasm"))
    assert wasmoci.explain(reference).classification.kind is wasmoci.Kind.WASM


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    """``explain`` and ``inspect`` name what is left out, with all that could act on a terminal escaped."""
    reference = layout(tmp_path / "layout", labels=HOSTILE, annotations={"by.annotation": "x", **ALLOWED})
    names = sorted({*HOSTILE, "by.annotation"})
    explained = wasmoci.explain(reference)
    assert explained.image == {"reference": reference, "left_out": names}
    assert [line for line in str(explained).splitlines() if line.startswith("  left out  ")] == [
        f"  left out     {name!r}, a label or annotation of the image that a spec doesn't get" for name in names
    ]
    assert json.loads(json.dumps(explained.to_dict()))["image"]["left_out"] == names
    env = {"WASMOCI_STORE": str(tmp_path / "store")}
    for words in (("explain",), ("inspect",), ("explain", "--json")):
        shown = command(*words, reference, env=env)
        assert shown.returncode == 0
        text = shown.stdout.decode()
        assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) == []
        assert "run.oci.seccomp.plugins" in text
    assert json.loads(command("inspect", reference, env=env).stdout)["leftOut"] == names


def test_value_that_is_kept_is_escaped(tmp_path: Path) -> None:
    """A variant is any text, and makes no line of its own in what is shown of it."""
    reference = layout(tmp_path / "layout", labels={VARIANT: "x\nwasmoci: all is well"}, annotations={})
    assert "\nwasmoci: all is well" not in str(wasmoci.explain(reference))


def test_no_text_of_an_image_is_a_line(tmp_path: Path) -> None:
    """Whatever an image has in its names and values, each line of an explanation is one of ours."""
    evil = "A\nrules\r\x1b[1m\x85\u2028evil"
    config = {
        "Cmd": ["/hello.wasm#" + evil, evil],
        "Env": [f"{evil}=1"],
        "WorkingDir": f"/{evil}",
        "Labels": {HANDLER: "wasm", f"org.opencontainers.image.{evil}": evil, evil: evil},
        "StopSignal": evil,
    }
    made = make_layout(tmp_path / "layout", tar(member("hello.wasm", data=PROGRAM)), config=config)
    text = str(wasmoci.explain(f"oci:{made}"))
    lines = text.split("\n")
    assert lines.count("rules") == 1
    assert all(line.isprintable() for line in lines)
    assert text.splitlines() == lines


@pytest.mark.parametrize(
    ("text", "link", "leads_to"),
    [
        ("/proc/self/fd/8", "", "/proc/self/fd/8"),
        ("proc/self/fd/8", "", "/proc/self/fd/8"),
        ("/srv/../proc/self/cwd", "", "/proc/self/cwd"),
        ("/link", "/proc/self/fd/8", "/proc/self/fd/8"),
        ("/link/fd/8", "proc/self", "/proc/self/fd/8"),
        ("/link", "../../../dev/fd/8", "/dev/fd/8"),
        ("/sys/fs/cgroup", "", "/sys/fs/cgroup"),
    ],
)
def test_working_directory(tmp_path: Path, text: str, link: str, leads_to: str) -> None:
    """An image's program doesn't start in a descriptor that a native runtime has left open, by whatever name."""
    files = [member("hello.wasm", data=WASM), *([member("link", "symlink", link=link)] if link else ())]
    made = make_layout(tmp_path / "layout", tar(*files), config={"Cmd": ["/hello.wasm"], "WorkingDir": text})
    with pytest.raises(InvalidImage, match=f"leads to '{leads_to}'; "), as_bundle(f"oci:{made}"):
        pass


def test_links_without_an_end(tmp_path: Path) -> None:
    """A loop of links is an error like any other."""
    files = tar(member("hello.wasm", data=WASM), member("link", "symlink", link="link"))
    made = make_layout(tmp_path / "layout", files, config={"Cmd": ["/hello.wasm"], "WorkingDir": "/link"})
    with pytest.raises(InvalidImage, match="symbolic links"), as_bundle(f"oci:{made}"):
        pass


def resolved(document: dict[str, Any], machine: str) -> dict[str, list[tuple[str, int | None, str]]]:
    """The rules of a profile of containers-common for our capabilities: of each call the actions, errors and conditions."""
    rules: dict[str, list[tuple[str, int | None, str]]] = {}
    for rule in document["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("arches") and machine not in includes["arches"]:
            continue
        if set(includes.get("caps") or ()) - set(CAPABILITIES) or set(excludes.get("caps") or ()) & set(CAPABILITIES):
            continue
        for name in rule["names"]:
            found = (rule["action"], rule.get("errnoRet"), json.dumps(rule.get("args") or []))
            rules.setdefault(name, []).append(found)
    return rules


def test_seccomp_is_podmans() -> None:
    """Ours allows nothing that the installed default of Podman doesn't, but for what its later releases added."""
    require(PROFILE.exists(), f"{PROFILE} is missing: apt install golang-github-containers-common")
    theirs = resolved(json.loads(PROFILE.read_text()), "amd64")
    ours = resolved(profile("x86_64"), "amd64")
    allowed = {name for name, rules in ours.items() if any(action == "SCMP_ACT_ALLOW" for action, _, _ in rules)}
    welcome = {name for name, rules in theirs.items() if any(action == "SCMP_ACT_ALLOW" for action, _, _ in rules)}
    assert allowed - welcome <= {"fchmodat2"}
    assert {name for name, rules in ours.items() if len(rules) > 1} == {"personality", "socket"}
    assert allowed & {
        "bpf",
        "keyctl",
        "kexec_load",
        "open_by_handle_at",
        "perf_event_open",
        "setns",
        "userfaultfd",
    } == {"keyctl"}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "s390x", "ppc64le", "riscv64", "loongarch64"])
def test_seccomp_without_a_file(machine: str) -> None:
    """Each processor has the filter, and a call that is allowed is denied nowhere."""
    found = profile(machine)
    assert found["defaultAction"] == "SCMP_ACT_ERRNO"
    first, second, *others = found["syscalls"]
    assert len(first["names"]) > 350
    assert set(first["names"]) & set(second["names"]) == set()
    assert {name for rule in others for name in rule["names"]} & {*first["names"], *second["names"]} == set()


SHOW = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <unistd.h>
static void try(const char *name, long result) { printf("%s=%d\n", name, result < 0 ? errno : 0); }
static void show(const char *name) {
    char line[300];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name))) fputs(line, stdout);
    if (file) fclose(file);
}
static void link_of(const char *name) {
    char path[99], found[99] = "";
    snprintf(path, sizeof path, "/proc/self/ns/%s", name);
    if (readlink(path, found, 98) > 0) puts(found);
}
int main(int count, char **args) {
    if (count > 1 && !strcmp(args[1], "exit")) return 7;
    show("NoNewPrivs"); show("Seccomp:"); show("CapBnd"); show("CapEff"); show("CapPrm"); show("CapInh"); show("CapAmb");
    try("setns", syscall(SYS_setns, -1, 0));
    try("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
    try("bpf", syscall(SYS_bpf, 0, 0, 0));
    try("userfaultfd", syscall(SYS_userfaultfd, 0));
    try("by handle", syscall(SYS_open_by_handle_at, -1, 0, 0));
    try("vsock", syscall(SYS_socket, 40, SOCK_STREAM, 0));
    try("vsock with a bit above", syscall(SYS_socket, 0x100000028L, SOCK_STREAM, 0));
    try("audit", syscall(SYS_socket, 16, SOCK_RAW, 9));
    try("unix", syscall(SYS_socket, 1, SOCK_STREAM, 0));
    try("mount", syscall(SYS_mount, "none", "/", "tmpfs", 0, 0));
    try("device", mknod("/disk", S_IFBLK | 0600, 0x800) < 0 ? -1 : open("/disk", O_RDONLY));
    try("sysctl", open("/proc/sys/kernel/core_pattern", O_WRONLY));
    for (const char **name = (const char *[]){"mnt", "pid", "net", "ipc", "uts", "cgroup", 0}; *name; name++) link_of(*name);
    return 0;
}
"""


@pytest.fixture(scope="module")
def native_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with a native program, for a Wasm platform, that shows what it may do."""
    require(shutil.which("gcc"), "gcc is missing: apt install gcc")
    directory = tmp_path_factory.mktemp("native")
    (directory / "show.c").write_text(SHOW)
    subprocess.run(["gcc", "-static", "-o", directory / "show", directory / "show.c"], check=True)
    files = tar(
        member("show", data=(directory / "show").read_bytes(), mode=0o4755),
        *(member(name, "dir") for name in ("proc", "dev", "sys")),
    )
    config = {"Entrypoint": ["/show"], "Labels": {VARIANT: "x", **HOSTILE}}
    descriptor = put_image(directory / "layout", [files], config=config, target=("wasi", "wasm"))
    return f"oci:{finish(directory / 'layout', descriptor)}"


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_native_program_of_an_image(
    native_image: str, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Allowed by the caller, it has Podman's capabilities, seccomp, no new privileges, namespaces of its own and no devices."""
    require(
        shutil.which(runtime) and os.geteuid() == 0,
        f"native containers need {runtime}, and root: apt install {runtime}",
    )
    program = str(shutil.which(runtime))
    if (
        runtime == "crun" and Path("/sys/fs/cgroup/unified").exists()
    ):  # crun refuses a host with cgroups of both versions
        wrapper = tmp_path / "crun"
        script = f'umount /sys/fs/cgroup/unified; exec {program} "$@"'
        wrapper.write_text(f"#!/bin/sh\nexec unshare -m sh -c '{script}' crun \"$@\"\n")
        wrapper.chmod(0o755)
        program = str(wrapper)
    monkeypatch.setenv("WASMOCI_NATIVE_RUNTIME", program)
    result = wasmoci.run(native_image, native=True)
    assert (result.reason, result.exit_code, result.engine) == (wasmoci.ExitReason.EXITED, 0, runtime), result
    lines = (result.stdout or b"").decode().splitlines()
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    capabilities = f"{0x800405FB:016x}"
    assert facts == {
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "CapBnd": capabilities,
        "CapEff": capabilities,
        "CapPrm": capabilities,
        "CapInh": "0" * 16,
        "CapAmb": "0" * 16,
    }
    tried = {name: int(number) for name, _, number in (line.partition("=") for line in lines) if number}
    assert tried == {
        **dict.fromkeys(("setns", "kexec", "bpf", "userfaultfd", "by handle", "mount", "device"), errno.EPERM),
        **dict.fromkeys(("vsock", "vsock with a bit above", "audit"), errno.ENOSYS),
        "unix": 0,
        "sysctl": errno.EROFS,
    }
    own = {str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("mnt", "pid", "net", "ipc", "uts", "cgroup")}
    theirs = {line for line in lines if "[" in line}
    assert (len(theirs), theirs & own) == (6, set())


def test_native_program_by_an_unpacked_bundle(native_image: str, tmp_path: Path) -> None:
    """What ``unpack`` writes holds the program in the same way, whoever runs it."""
    with open_image(native_image) as image:
        unpack(image, tmp_path / "bundle")
    document = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert document["process"]["noNewPrivileges"] is True
    assert document["process"]["capabilities"]["bounding"] == CAPABILITIES
    assert document["linux"]["seccomp"] == profile()
    kinds = {namespace["type"] for namespace in document["linux"]["namespaces"]}
    assert {"pid", "ipc", "uts", "mount", "network", "cgroup"} <= kinds
    assert [key for key in document["annotations"] if not key.startswith("org.opencontainers.image.")] == [VARIANT]


def test_crun_is_not_asked_again(tmp_path: Path, native_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The native runtime gets none of the annotations by which crun would decide otherwise."""
    program = tmp_path / "fakerun"
    program.write_text(f'#!{sys.executable}\nimport shutil, sys\nprint("+SECCOMP")\nif "--bundle" in sys.argv:\n')
    with program.open("a") as file:
        file.write(
            f"    shutil.copy(sys.argv[sys.argv.index('--bundle') + 1] + '/config.json', {str(tmp_path / 'spec')!r})\n"
        )
    program.chmod(0o755)
    monkeypatch.setenv("WASMOCI_NATIVE_RUNTIME", str(program))
    wasmoci.run(native_image, native=True)
    annotations = json.loads((tmp_path / "spec").read_text())["annotations"]
    assert [key for key in annotations if not key.startswith("org.opencontainers.image.")] == []


@pytest.mark.parametrize("option", ["--label", "--annotation"])
def test_build_warns(tmp_path: Path, option: str) -> None:
    """Whoever builds an image is told of what would have no effect."""
    (tmp_path / "app.wasm").write_bytes(WASM)
    words = ["build", tmp_path / "app.wasm", "-o", f"oci:{tmp_path / 'layout'}", option]
    assert b"warning" not in command(*words, "org.example=x").stderr
    shutil.rmtree(tmp_path / "layout")
    done = command(*words, "run.oci.handler=wasm3")
    assert done.returncode == 0
    assert b"warning: 'run.oci.handler' of an image reaches no container" in done.stderr
