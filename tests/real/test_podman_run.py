"""``podman run`` of images that Buildah built: what a guest is given, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable
from tests.real.images import NATIVE, WASM
from tests.real.programs import FORCING
from tests.trust import components

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.podman import Podman
    from tests.real.programs import Done


@pytest.mark.smoke
def test_hello(podman: Podman, container: str) -> None:
    """The annotation on the image is all that is needed."""
    assert "hello" in podman("run", "--rm", "--name", container, WASM).stdout.lower()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["/exit.wasm", "0"], 0),
        (["/exit.wasm", "0", "exit"], 0),
        (["/exit.wasm", "1"], 1),
        pytest.param(["/exit.wasm", "7", "exit"], 7, marks=pytest.mark.smoke),
        (["/exit.wasm", "255", "_Exit"], 255),
        (["/exit.wasm", "256"], 255),
        pytest.param(["/trap.wasm", "unreachable"], 134, marks=pytest.mark.smoke),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_exit_codes(podman: Podman, container: str, arguments: list[str], status: int) -> None:
    """A guest's code is Podman's exit status; a code that would be cut to 0 is 255; a trap is 134."""
    assert podman("run", "--rm", "--name", container, WASM, *arguments, check=False).returncode == status


def test_trap_is_told(podman: Podman, container: str) -> None:
    """A trap's message stands behind what the guest wrote."""
    done = podman("run", "--rm", "--name", container, WASM, "/trap.wasm", "memory", check=False)
    assert done.stdout == "before\n"
    assert "about to trap" in done.stderr
    assert "wasmoci-runtime: the guest trapped" in done.stderr
    assert "out of bounds" in done.stderr


@pytest.mark.smoke
def test_engines(podman: Podman, container: str, engine: str) -> None:
    """The annotation may name any engine, which then has the image, the volumes and the streams as every other."""
    options = ("--annotation", f"run.oci.handler={engine}", "--workdir=/data")
    done = podman("run", "--rm", "-i", "--name", container, *options, WASM, "/cat.wasm", stdin="text")
    assert done.stdout == "text"
    done = podman("run", "--rm", "--name", container, *options, WASM, "/files.wasm", "read", "data.txt")
    assert done.stdout.startswith("read data.txt: from the image")


@pytest.mark.smoke
def test_arguments_and_environment(podman: Podman, container: str) -> None:
    """Arguments and variables arrive as they were given, those of the image too, and none of the engine's."""
    options = ("--env", "A=b=c ", "--env", "EMPTY=")
    done = podman("run", "--rm", "--name", container, *options, WASM, "/show.wasm", "one two", "", "--three")
    lines = done.stdout.splitlines()
    assert lines[:4] == ["arg 0: /show.wasm", "arg 1: one two", "arg 2: ", "arg 3: --three"]
    assert {"env: A=b=c ", "env: EMPTY=", "env: FROM=image"} <= set(lines)
    assert "WASMOCI" not in done.stdout


@pytest.mark.smoke
@pytest.mark.parametrize("volume", ["/proc:/host/proc", "/:/host"])
def test_procfs_stays_closed(podman: Podman, container: str, engine: str, volume: str) -> None:
    """Neither a procfs that Podman mounts into the guest's files opens, nor the container's own, nor the host's."""
    paths = ["self/mem", "self/environ", "self/fd/0", "1/environ", "1/mem", "version"]
    places = [*(f"/host/proc/{path}" for path in paths), *(f"/proc/{path}" for path in paths), "../proc/self/mem"]
    options = ("--annotation", f"run.oci.handler={engine}", f"--volume={volume}")
    commands = [word for place in places for word in ("read", place, ",")][:-1]
    done = podman("run", "--rm", "--name", container, *options, WASM, "/files.wasm", *commands, check=False)
    answers = [line.rpartition(": ")[2] for line in done.stdout.splitlines()]
    assert len(answers) == len(places), done.stderr
    assert set(answers) <= {"EACCES", "ENOENT", "EPERM"}, done.stdout


def test_components_have_their_account_and_no_procfs(podman: Podman, container: str, tmp_path: Path) -> None:
    """The kernel holds the bound on their descriptors in a container too, and procfs among their files is refused."""
    usable("wasmtime")
    from wasmoci.handlers._wasmtime.library import assemble  # noqa: PLC0415  an engine

    for name, guest in (
        ("few", components.opening("few.wasm", 500)),
        ("many", components.opening("many.wasm", 100_000)),
    ):
        (tmp_path / f"{name}.wasm").write_bytes(assemble(guest.encode()))

    def run(name: str, *options: str) -> Done:
        volume = f"--volume={tmp_path}/{name}.wasm:/{name}.wasm:ro"
        return podman("run", "--rm", "--name", container, volume, *options, WASM, f"/{name}.wasm", check=False)

    few, many = run("few"), run("many")
    assert (few.returncode, components.error(many.returncode)) == (0, "io"), (few.stderr, many.stderr)
    refused = run("few", "--volume=/:/host")
    assert "proc is within the guest's /" in refused.stderr


@pytest.mark.parametrize("text", ["a line\n", "", "x" * 300_000])
def test_standard_input(podman: Podman, container: str, text: str) -> None:
    """With ``-i`` the guest reads what Podman is given, to its end."""
    assert podman("run", "--rm", "-i", "--name", container, WASM, "/cat.wasm", stdin=text).stdout == text


def test_no_standard_input(podman: Podman, container: str) -> None:
    """Without ``-i`` it reads nothing."""
    assert podman("run", "--rm", "--name", container, WASM, "/cat.wasm", stdin="unseen").stdout == ""


def test_volumes(podman: Podman, container: str, tmp_path: Path) -> None:
    """A volume can be written, a read-only one and a file can be read alone."""
    for name in ("rw", "ro"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "in").write_text(name)
    volumes = [
        f"--volume={tmp_path}/rw:/rw",
        f"--volume={tmp_path}/ro:/ro:ro",
        f"--volume={tmp_path}/ro/in:/one/file:ro",
    ]
    commands = (
        "read /rw/in , write /rw/out text , read /ro/in , write /ro/out text , read /one/file , write /one/file x"
    )
    done = podman("run", "--rm", "--name", container, *volumes, WASM, "/files.wasm", *commands.split(), check=False)
    lines = done.stdout.splitlines()
    assert lines[:3] == ["read /rw/in: rw", "wrote /rw/out: 4", "read /ro/in: ro"]
    assert lines[3].startswith("write /ro/out: E")
    assert lines[4] == "read /one/file: ro"
    assert done.returncode == 2
    assert (tmp_path / "rw" / "out").read_text() == "text"
    assert [path.name for path in (tmp_path / "ro").iterdir()] == ["in"]
    assert (tmp_path / "ro" / "in").read_text() == "ro"


@pytest.mark.parametrize(
    ("options", "commands", "expected"),
    [
        ([], "write /data/new x , read /data/new", ["wrote /data/new: 1", "read /data/new: x"]),
        (
            ["--read-only"],
            "write /data/new x , read /data/data.txt",
            ["write /data/new: EROFS", "read /data/data.txt: from the image"],
        ),
        (
            ["--read-only", "--tmpfs=/scratch"],
            "list /scratch , write /scratch/new x",
            ["list /scratch:", "wrote /scratch/new: 1"],
        ),
        (["--workdir=/bin"], "list .", ["list .: busybox"]),
        (["--hostname=guest"], "read /etc/hostname", ["read /etc/hostname: guest"]),
        (["--add-host=there:10.0.0.1"], "read /etc/hosts", ["read /etc/hosts: 10.0.0.1\tthere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_files(podman: Podman, container: str, options: list[str], commands: str, expected: list[str]) -> None:
    """The guest sees the image and what Podman lays over it, with the rights that it has there."""
    done = podman("run", "--rm", "--name", container, *options, WASM, "/files.wasm", *commands.split(), check=False)
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[: len(expected)] == expected


def test_user(podman: Podman, container: str, tmp_path: Path) -> None:
    """A container's user owns what its guest writes, and may not read what is root's alone."""
    tmp_path.chmod(0o777)
    (tmp_path / "secret").write_text("root's")
    (tmp_path / "secret").chmod(0o600)
    commands = "write /v/mine x , read /v/secret"
    options = ("--user=1000:1001", f"--volume={tmp_path}:/v")
    done = podman("run", "--rm", "--name", container, *options, WASM, "/files.wasm", *commands.split(), check=False)
    assert done.returncode == 1
    assert "root's" not in done.stdout
    status = (tmp_path / "mine").stat()
    assert (status.st_uid, status.st_gid) == (1000, 1001)


def test_memory(podman: Podman, container: str) -> None:
    """A guest that takes more than ``--memory`` is ended, and Podman says that it was by want of memory."""
    podman("run", "--name", container, "--memory=128m", WASM, "/allocate.wasm", "abort", check=False)
    assert podman.inspect(container)["ExitCode"] == 137


@pytest.mark.parametrize(
    ("program", "status", "reason"),
    [
        pytest.param("/missing.wasm", 127, "/missing.wasm", marks=pytest.mark.smoke),
        ("/data/broken.wasm", 126, "/data/broken.wasm"),
        ("/data/text.wasm", 126, "/data/text.wasm"),
        ("/foreign.wasm", 126, "env.launch"),
        ("/hello.wasm#nothing", 126, "nothing"),
    ],
)
def test_cannot_run(podman: Podman, container: str, program: str, status: int, reason: str) -> None:
    """What can't run is refused when it is created, with the reason in Podman's own message and its statuses."""
    done = podman("run", "--name", container, WASM, program, check=False)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert reason in done.stderr
    assert done.returncode == status
    assert podman.inspect(container)["Status"] in {"created", "configured"}


def test_forced_by_name(podman: Podman, container: str) -> None:
    """Under the name ``wasmoci-wasm`` an image without an annotation is Wasm too, as for ``--platform=wasi/wasm``."""
    image = podman.build(
        "localhost/plain:1",
        {"/cat.wasm": podman.directory / "cat.wasm"},
        '--cmd=["/cat.wasm"]',
        "--os=wasi",
        "--arch=wasm",
    )
    done = podman("run", "--rm", "-i", "--name", container, "--platform=wasi/wasm", image, stdin="in", runtime=FORCING)
    assert done.stdout == "in"


@pytest.mark.smoke
def test_native(podman: Podman, container: str) -> None:
    """Another image runs as before, its exit status too."""
    done = podman("run", "--rm", "-i", "--name", container, NATIVE, "sh", "-c", "cat; exit 7", stdin="in", check=False)
    assert (done.stdout, done.returncode) == ("in", 7)


def test_several_at_once(podman: Podman) -> None:
    """Containers that run at the same time don't meet."""
    names = [f"several-{number}" for number in range(4)]
    for name in names:
        podman("run", "--detach", "--name", name, WASM, "/sleep.wasm", "0.5")
    assert podman("wait", *names).stdout.split() == ["0"] * len(names)
    podman("rm", *names)
