"""``maskedPaths`` and ``readonlyPaths`` in the library: every engine's guest sees them closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.bundles import write_bundle
from tests.support.guests import build
from wasmoci.errors import InvalidMount
from wasmoci.oci.filesystem import plan
from wasmoci.oci.spec import Mount, Spec

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"/secret": "secret", "/hidden/file": "secret", "/kept/file": "old", "/real/file": "secret"}
READ_ONLY = "EROFS", "EPERM", "ENOTCAPABLE"  # an engine's words for it


@pytest.mark.parametrize("isolation", [None, "process", "jail"])
def test_runs(tmp_path: Path, engine: str, isolation: str | None) -> None:
    """What is masked is empty, through a link too; what is read-only can be read; what is mounted there keeps its own flag."""
    usable(engine)
    if (engine, isolation) == ("wasmer", "jail"):
        pytest.skip("wasmer's SDK starts processes, which a jail doesn't allow")
    (tmp_path / "volume").mkdir()
    linux = {"maskedPaths": ["/secret", "/hidden", "/link", "/missing"], "readonlyPaths": ["/kept", "/kept/missing"]}
    commands = [
        "read /secret",
        "list /hidden",
        "read /real/file",
        "read /kept/file",
        "write /kept/file x",
        "write /kept/in/x x",
        "write /new x",
    ]
    args = [word for command in commands for word in (*command.split(), ",")][:-1]
    bundle = write_bundle(
        tmp_path / "bundle",
        build("files"),
        args=args,
        files=FILES,
        symlinks={"/link": "/real"},
        mounts=[(tmp_path / "volume", "/kept/in", "rbind")],
        extra={"linux": linux},
    )
    lines = wasmoci.run(bundle, engine=engine, isolation=isolation).stdout.decode().splitlines()
    assert lines[:4] == ["read /secret: ", "list /hidden:", "read /real/file: ENOENT", "read /kept/file: old"]
    assert lines[4].split()[-1] in READ_ONLY
    assert lines[5:] == ["wrote /kept/in/x: 1", "wrote /new: 1"]
    assert (bundle / "rootfs" / "secret").read_text(encoding="utf-8") == "secret"


def closed(tmp_path: Path, *mounts: Mount, **linux: Any) -> list[tuple[str, str | None, bool, bool]]:
    """The mounts that a spec gives a guest."""
    files = plan(Spec(mounts=mounts, raw={"linux": linux}), tmp_path)
    return [(m.destination, None if m.source is None else str(m.source), m.read_only, m.is_file) for m in files.mounts]


def test_mounts(tmp_path: Path) -> None:
    """A mask hides what is mounted beneath; a read-only place doesn't; on a mount the flag changes."""
    root, volume = tmp_path / "root", tmp_path / "volume"
    (root / "a").mkdir(parents=True)
    (volume / "inner").mkdir(parents=True)
    bind = Mount(destination="/a/v", source=str(volume), type="bind")
    memory = Mount(destination="/t", type="tmpfs")
    assert closed(root, bind, maskedPaths=["/a"]) == [("/a", None, True, False)]
    assert closed(root, bind, readonlyPaths=["/a"]) == [
        ("/a", str(root / "a"), True, False),
        ("/a/v", str(volume), False, False),
    ]
    assert closed(root, bind, readonlyPaths=["/a/v"]) == [("/a/v", str(volume), True, False)]
    assert closed(root, bind, readonlyPaths=["/a/v/inner"])[1] == ("/a/v/inner", str(volume / "inner"), True, False)
    assert closed(root, memory, maskedPaths=["/t/x"], readonlyPaths=["/t"]) == [("/t", None, True, False)]


def test_the_kernels(tmp_path: Path) -> None:
    """What would lie in a file system that is left out isn't looked at, whatever the image has there."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "kcore").touch()
    proc = Mount(destination="/proc", source="proc", type="proc")
    assert closed(tmp_path, proc, maskedPaths=["/proc/kcore"]) == []


def test_the_root(tmp_path: Path) -> None:
    """A read-only root is one; a masked one leaves nothing."""
    assert plan(Spec(raw={"linux": {"readonlyPaths": ["/"]}}), tmp_path).read_only
    with pytest.raises(InvalidMount, match="the root itself is masked"):
        plan(Spec(raw={"linux": {"maskedPaths": ["/."]}}), tmp_path)


@pytest.mark.parametrize("value", [None, 1, "x", [1, None, "", "a\0b"]])
def test_what_is_no_list_of_paths(tmp_path: Path, value: object) -> None:
    """It closes nothing."""
    assert closed(tmp_path, maskedPaths=value, readonlyPaths=value) == []
