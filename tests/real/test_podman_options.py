"""Options of ``podman run`` that say where things are and as whom: for a Wasm container as for a native one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.images import NATIVE, WASM
from tests.real.programs import program
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.podman import Podman


def test_init(podman: Podman, container: str) -> None:
    """``--init`` goes in front of a Wasm program without a trace, and of a native one as ever."""
    program("catatonit")
    options = ("--rm", "--name", container, "--init")
    done = podman("run", *options, WASM, "/exit.wasm", "7", "exit", check=False)
    assert (done.returncode, done.stderr) == (7, "")
    assert podman("run", *options, WASM, "/show.wasm", "x").stdout.splitlines()[:2] == ["arg 0: /show.wasm", "arg 1: x"]
    assert podman("run", *options, NATIVE, "/bin/echo", "x").stdout == "x\n"


@pytest.mark.parametrize("mapping", ["--uidmap=0:100000:65536", "--userns=auto"])
def test_user_namespaces(podman: Podman, container: str, tmp_path: Path, mapping: str) -> None:
    """In a user namespace of its own a guest writes to the image's files and a volume, and ``exec`` and ``cp`` do as well."""
    if mapping == "--userns=auto":
        mapping = "--userns=auto:uidmapping=0:100000:1024,gidmapping=0:100000:1024"
    options = ("--name", container, mapping, "--tmpfs=/tmp")
    write = ("/files.wasm", "write", "/data/new", "x", ",", "write", "/tmp/new", "x", ",", "read", "/data/data.txt")
    done = podman("run", "--rm", *options, WASM, *write)
    assert done.stdout == "wrote /data/new: 1\nwrote /tmp/new: 1\nread /data/data.txt: from the image\n\n"
    podman("run", "--detach", *options, WASM, "/sleep.wasm")
    podman.wait_for_log(container, "begun")
    (tmp_path / "in").write_text("copied")
    # Into a tmpfs Podman copies nothing here, in a native container neither: its own user isn't known there.
    podman("cp", tmp_path / "in", f"{container}:/data/in")
    assert podman("exec", container, "/files.wasm", "read", "/data/in").stdout == "read /data/in: copied\n"
    # Podman removes such a container, a native one too, now and then before its own shm is unmounted.
    removal = ("rm", "--force", "--time=0", "--ignore", container)
    wait_for("its removal", lambda: podman(*removal, check=False).returncode == 0)


def test_home(podman: Podman, container: str) -> None:
    """``HOME`` is there, in ``exec`` too."""
    podman("run", "--detach", "--name", container, WASM, "/sleep.wasm")
    assert "env: HOME=/" in podman("exec", container, "/show.wasm").stdout


@pytest.mark.parametrize("kind", ["overlay", "image", "tmpfs"])
def test_where_a_module_is(podman: Podman, container: str, tmp_path: Path, kind: str) -> None:
    """It is found on an overlay, in another image, and on a tmpfs that begins with the image's files."""
    (tmp_path / "show.wasm").write_bytes((podman.directory / "cat.wasm").read_bytes())
    options, module = {
        "overlay": (f"--volume={tmp_path}:/m:O", "/m/show.wasm"),
        "image": (f"--mount=type=image,source={WASM},destination=/m", "/m/cat.wasm"),
        "tmpfs": ("--tmpfs=/data:rw", "/data/cat.wasm"),
    }[kind]
    if kind == "tmpfs":
        podman.build(
            "localhost/copied:1",
            {"/data/cat.wasm": podman.directory / "cat.wasm"},
            annotations={"module.wasm.image/variant": "compat-smart"},
        )
        done = podman("run", "--rm", "-i", "--name", container, options, "localhost/copied:1", module, stdin="in")
    else:
        done = podman("run", "--rm", "-i", "--name", container, options, WASM, module, stdin="in")
    assert done.stdout == "in"


def test_masks(podman: Podman, container: str) -> None:
    """``--security-opt mask`` hides the guest's files, and nothing that an engine needs."""
    options = ("--rm", "--name", container, "--security-opt=mask=/etc:/usr:/lib:/data/data.txt:/dev")
    done = podman("run", *options, WASM, "/files.wasm", "read", "/data/data.txt", ",", "list", "/etc")
    assert done.stdout == "read /data/data.txt: \nlist /etc:\n"
