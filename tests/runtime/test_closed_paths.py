"""``maskedPaths``, ``readonlyPaths`` and a read-only root hold for a guest as they do for a native program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import usable
from tests.runtime.containers import Runtime, over_each_native
from tests.runtime.test_newcomers import entered, pid_of
from wasmoci.errors import InvalidMount
from wasmoci.runtime.closed_paths import translated
from wasmoci.runtime.mount_destinations import Destinations

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = pytest.mark.parametrize("name", ["wasmtime", "wasmer", "wasm3"])
FILES = {"/secret": "secret", "/hidden/file": "secret", "/kept/file": "old", "/etc/passwd": "x"}


def closed(**members: Any) -> dict[str, Any]:
    """A spec with such members of ``linux``."""
    return {"extra": {"linux": members}}


@over_each_native
@ENGINES
def test_masked(runtime: Runtime, name: str) -> None:
    """A masked file is empty, a masked directory too; what isn't there does no harm, and neither does what an engine needs."""
    usable(name)
    masked = ["/secret", "/hidden", "/missing", "/usr", "/lib", "/etc", "/dev", "/proc", "/proc/self", "/sys/firmware"]
    done = runtime.run(
        "files",
        *(
            "read",
            "/secret",
            ",",
            "list",
            "/hidden",
            ",",
            "read",
            "/hidden/file",
            ",",
            "list",
            "/etc",
            ",",
            "read",
            "/kept/file",
        ),
        files=FILES,
        annotations={"run.oci.handler": name},
        **closed(maskedPaths=masked),
    )
    assert b"secret\n" not in done.stdout.replace(b"read /secret: ", b"")
    assert done.stdout.decode().splitlines() == [
        "read /secret: ",
        "list /hidden:",
        "read /hidden/file: ENOENT",
        "list /etc:",
        "read /kept/file: old",
    ], done.stderr


@over_each_native
@ENGINES
def test_read_only(runtime: Runtime, name: str) -> None:
    """Such a place can be read, and not be written to; beside it can be."""
    usable(name)
    done = runtime.run(
        "files",
        *(
            "read",
            "/kept/file",
            ",",
            "write",
            "/kept/file",
            "new",
            ",",
            "write",
            "/kept/more",
            "x",
            ",",
            "write",
            "/hidden/more",
            "x",
        ),
        files=FILES,
        annotations={"run.oci.handler": name},
        **closed(readonlyPaths=["/kept", "/missing", "/usr", "/proc/sys"]),
    )
    assert done.stdout.decode().splitlines() == [
        "read /kept/file: old",
        "write /kept/file: EROFS",
        "write /kept/more: EROFS",
        "wrote /hidden/more: 1",
    ], done.stderr


@over_each_native
def test_a_link_leads_to_the_containers_own(runtime: Runtime, tmp_path: Path) -> None:
    """A masked path goes through the image's links, absolute ones too, to the image's files and never to the engine's."""
    bundle = runtime.bundle(
        "files", "read", "/link", ",", "list", "/usr", files={"/usr/file": "secret"}, **closed(maskedPaths=["/link"])
    )
    (bundle / "rootfs" / "link").symlink_to("/usr")
    done = runtime.call("run", "--bundle", bundle, "c")
    assert done.stdout.decode().splitlines()[-1] == "list /usr:", done.stderr


@over_each_native
def test_a_read_only_root(runtime: Runtime, tmp_path: Path) -> None:
    """Mount points and the working directory are made before it becomes so; a volume stays writable."""
    (tmp_path / "volume").mkdir()
    done = runtime.run(
        "files",
        *(
            "write",
            "/new",
            "x",
            ",",
            "write",
            "/volume/new",
            "x",
            ",",
            "write",
            "new",
            "x",
            ",",
            "write",
            "/tmp/new",
            "x",
        ),
        readonly=True,
        extra={"process": {"cwd": "/made/here"}},
        mounts=[(tmp_path / "volume", "/volume", "rbind"), {"type": "tmpfs", "destination": "/tmp"}],
    )
    assert done.stdout.decode().splitlines() == [
        "write /new: EROFS",
        "wrote /volume/new: 1",
        "write new: EROFS",
        "wrote /tmp/new: 1",
    ], done.stderr


def test_newcomers(runtime: Runtime) -> None:
    """What is masked for the guest is so for who enters the container."""
    with runtime.running("sleep", files=FILES, **closed(maskedPaths=["/secret"], readonlyPaths=["/kept"])):
        pid = pid_of(runtime)
        assert entered(pid, "print(open('/secret').read())") == "\n"
        code = "\ntry: open('/kept/file', 'w')\nexcept OSError as error: print(error.strerror)"
        assert entered(pid, code) == "Read-only file system\n"


def test_no_other_spelling(runtime: Runtime) -> None:
    """A member in another case, which runc would take for it, doesn't open what is read-only."""
    bundle = runtime.bundle("files", "write", "/new", "x", readonly=True, extra={"linux": {"ReadonlyPaths": []}})
    assert runtime.call("run", "--bundle", bundle, "c").stdout == b"write /new: EROFS\n"


def test_hooks_of_the_container(runtime: Runtime) -> None:
    """A hook that would have to run in the guest's root is refused; an empty list isn't."""
    done = runtime.run("hello", extra={"hooks": {"startContainer": [{"path": "/bin/true"}]}})
    assert (done.returncode, b"$.hooks.startContainer" in done.stderr) == (126, True)
    assert runtime.run("hello", extra={"hooks": {"startContainer": []}}).returncode == 0
    assert runtime.remains()["records"] == []


def test_translation(tmp_path: Path) -> None:
    """Paths lie beneath the guest's root, but for the kernel's that an engine can do without."""
    (tmp_path / "link").symlink_to("/target")
    linux = {
        "maskedPaths": ["/a", "b/../c", "/link/x", "/proc/kcore", "/proc/1/mem", "/dev/null", "/sys", "/"],
        "readonlyPaths": ["/proc/sys", "/a"],
    }
    destinations = Destinations(tmp_path)
    assert translated(linux, destinations, "/.c", readonly=True) == {
        "maskedPaths": ["/.c/a", "/.c/c", "/.c/target/x", "/proc/kcore", "/.c"],
        "readonlyPaths": ["/.c", "/proc/sys", "/.c/a"],
    }
    assert translated({}, destinations, "/.c", readonly=False) == {}
    (tmp_path / "loop").symlink_to("/loop")
    with pytest.raises(InvalidMount):
        translated({"maskedPaths": ["/loop"]}, destinations, "/.c", readonly=False)
