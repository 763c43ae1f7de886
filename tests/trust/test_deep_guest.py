"""A guest that makes a deep tree ends as itself, and harms no run after it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.image.making import make_layout, member, tar
from tests.support.requirements import require
from wasmoci.host.removal import remove_tree
from wasmoci.image import Store, as_bundle, pull
from wasmoci.testing import bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.heavy

MEMORY = Path("/dev/shm")
CONFIG = {"Entrypoint": ["/deep.wasm"], "Labels": {"module.wasm.image/variant": "compat"}}
LEVELS = [pytest.param(3000, marks=pytest.mark.smoke), 100_000]
NAME_TOO_LONG = 37  # of WASI


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory in memory, where the store and temporary files are; nothing is left in it but the store."""
    path = Path(tempfile.mkdtemp(prefix="wasmoci-test-", dir=MEMORY if MEMORY.is_dir() else None))
    (path / "tmp").mkdir()
    monkeypatch.setenv("WASMOCI_STORE", str(path / "store"))
    monkeypatch.setenv("TMPDIR", str(path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(path / "tmp"))
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture
def image(place: Path, guest: Callable[..., Path]) -> str:
    """The name of an image of the guest that makes directories."""
    layer = tar(member("deep.wasm", data=guest("deep").read_bytes(), mode=0o755), member("tmp", "dir", mode=0o1777))
    pull(f"oci:{make_layout(place / 'layout', layer, config=CONFIG)}", name="deep")
    return "deep"


def check(result: wasmoci.ExecutionResult, levels: int) -> None:
    """The guest has ended by itself, and made what it was to make, or as much as its WASI has paths for."""
    assert result.exit_code == 7, result
    made, error = (int(word) for word in re.findall(rb"\d+", result.stdout))
    assert (made, error) == (levels, 0) or (made > 3000 and error == NAME_TOO_LONG)


@pytest.mark.parametrize("levels", LEVELS)
def test_in_an_images_root(place: Path, image: str, engine: str, levels: int, caplog: pytest.LogCaptureFixture) -> None:
    """The status is the guest's, the next runs have theirs, and ``prune`` leaves nothing."""
    with caplog.at_level(logging.WARNING):
        for count in (levels, 3):
            with as_bundle(image, args=[str(count)]) as made:
                result = wasmoci.run(made, engine=engine)
            check(result, count)
        assert list((place / "store" / "run").iterdir()) == []
        Store().prune(everything=True)
    assert list((place / "store" / "rootfs").iterdir()) == []
    assert caplog.messages == []


@pytest.mark.parametrize("levels", LEVELS)
def test_on_a_tmpfs(place: Path, guest: Callable[..., Path], engine: str, levels: int) -> None:
    """What a guest has made on a tmpfs mount is gone with the run."""
    tmpfs = [{"destination": "/t", "type": "tmpfs", "source": "tmpfs"}]
    made = bundle(place / "bundle", guest("deep"), args=[str(levels), "t"], directories=["/t"], mounts=tmpfs)
    result = wasmoci.run(made, engine=engine)
    check(result, levels)
    assert list((place / "tmp").iterdir()) == []


_KILLED = """
import os, signal, sys
from wasmoci.host.temporary_directory import guest_temporary_directory
with guest_temporary_directory("test-") as directory:
    fd = os.open(directory, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("n" * 200, dir_fd=fd)
        inner = os.open("n" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    print(directory, flush=True)
    signal.pause()
"""


def test_of_a_process_that_is_killed(place: Path) -> None:
    """Whoever waits beside a tmpfs removes a deep tree as well."""
    from tests.support.waiting import settled  # noqa: PLC0415

    with subprocess.Popen([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        assert directory.exists()
        process.kill()
    assert settled(directory.exists, wanted=False) is False


def test_of_a_run_that_was_killed(place: Path, image: str, engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """A tree that a killed run has left in the store is swept away by the next."""
    left = place / "store" / "run" / ".wasmoci-container.0123456789ab"
    left.mkdir(mode=0o700)
    fd = os.open(left, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    with as_bundle(image, args=["1"]) as made:
        assert not left.exists()
        assert wasmoci.run(made, engine=engine).exit_code == 7
    assert caplog.messages == []


def test_what_can_not_be_swept(place: Path, image: str, caplog: pytest.LogCaptureFixture) -> None:
    """A run goes on although something that was left can't be removed, and so does ``prune``; one warning each names it."""
    require(os.geteuid() == 0, "only root can mount")
    left = place / "store" / "run" / ".wasmoci-container.0123456789ab"
    (left / "upper" / "mount").mkdir(parents=True)
    (left / "upper" / "other").mkdir()
    (place / "host").mkdir()
    (place / "host" / "kept").touch()
    done = subprocess.run(["mount", "--bind", place / "host", left / "upper" / "mount"], check=False)
    require(done.returncode == 0, "this root may not mount")
    try:
        with as_bundle(image, args=["1"]) as made:
            assert wasmoci.run(made).exit_code == 7
        Store().prune()
        assert [str(left / "upper" / "mount") in message for message in caplog.messages] == [True, True]
        assert (place / "host" / "kept").exists()
        assert not (left / "upper" / "other").exists()
    finally:
        subprocess.run(["umount", "-l", left / "upper" / "mount"], check=True)
    with as_bundle(image, args=["1"]):
        assert not left.exists()


def test_the_command(place: Path, image: str) -> None:
    """At a terminal: the guest's status, no traceback, and ``prune`` works."""
    command = [sys.executable, "-m", "wasmoci"]
    for arguments, status in ((["run", image, "3000"], 7), (["run", image, "2"], 7), (["prune", "--all"], 0)):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (status, "")
    assert list((place / "store" / "run").iterdir()) == []


def test_changes_are_told_or_refused(place: Path, guest: Callable[..., Path]) -> None:
    """What a comparison of engines sees of a deep tree: as far as there are paths, and else a typed error."""
    from wasmoci.testing.changes import Watch  # noqa: PLC0415

    for levels, refused in ((1500, False), (3000, True)):
        made = bundle(place / f"bundle{levels}", guest("deep"), args=[str(levels)])
        watch = Watch(made)
        assert wasmoci.run(made).exit_code == 7
        if refused:
            with pytest.raises(wasmoci.InvalidBundle, match="too deep"):
                watch.changes()
        else:
            assert len(watch.changes().directories) == levels
        remove_tree(made.path)


def test_building_of_a_deep_tree(place: Path) -> None:
    """An image of a tree that is deeper than paths can be is refused by a typed error, and no traceback."""
    from wasmoci.errors import ImageError  # noqa: PLC0415
    from wasmoci.image.layers.layer_writer import Copy, write_layer  # noqa: PLC0415

    fd = os.open(place / "tmp", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    with (place / "layer").open("wb") as file, pytest.raises(ImageError, match="File name too long"):
        write_layer((Copy(place / "tmp", "/x"),), file, compression="none", timestamp=0)
