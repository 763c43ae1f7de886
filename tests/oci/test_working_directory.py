"""A missing working directory is made, beneath the guest's root and nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.bundles import write_bundle
from tests.support.guests import build
from wasmoci.errors import InvalidSpec
from wasmoci.oci.guest_files import GuestFiles, GuestMount
from wasmoci.oci.working_directory import make

if TYPE_CHECKING:
    from pathlib import Path


def files(tmp_path: Path, cwd: str, *mounts: GuestMount) -> GuestFiles:
    """A guest's files, with the test's directory as the root."""
    return GuestFiles(rootfs=tmp_path, read_only=False, cwd=cwd, mounts=mounts)


@pytest.mark.parametrize("read_only", [False, True])
def test_made(tmp_path: Path, read_only: bool) -> None:  # noqa: FBT001
    """It and what leads there is made, in a root that is read-only for the guest as well."""
    (tmp_path / "there").mkdir()
    make(GuestFiles(rootfs=tmp_path, read_only=read_only, cwd="/there/a/b"))
    assert (tmp_path / "there" / "a" / "b").stat().st_mode & 0o777 == 0o755
    make(files(tmp_path, "/there/a/b"))
    make(files(tmp_path, "/"))


def test_through_links_and_mounts(tmp_path: Path) -> None:
    """The image's links lead to the image, and a mount is where it lies."""
    root, volume = tmp_path / "root", tmp_path / "volume"
    (root / "real").mkdir(parents=True)
    (root / "link").symlink_to("/real")
    volume.mkdir()
    mount = GuestMount(destination="/data", source=volume, read_only=False)
    make(files(root, "/link/new", mount))
    make(files(root, "/data/new", mount))
    assert (root / "real" / "new").is_dir()
    assert (volume / "new").is_dir()


@pytest.mark.parametrize("cwd", ["/file/x", "/dangling", "/out/x"])
def test_what_can_not_be(tmp_path: Path, cwd: str) -> None:
    """What leads to no directory is said, and nothing is made outside."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("x")
    (root / "dangling").symlink_to("nowhere")
    (root / "out").symlink_to("../../outside")
    with pytest.raises(InvalidSpec, match=r"\$\.process\.cwd: .* can't be made"):
        make(files(root, cwd))
    assert not (tmp_path / "outside").exists()


def test_a_run(tmp_path: Path, engine: str) -> None:
    """A guest starts in it."""
    usable(engine)
    bundle = write_bundle(tmp_path / "bundle", build("files"), args=["write", "new", "x"])
    config = bundle / "config.json"
    document = json.loads(config.read_text(encoding="utf-8"))
    document["process"]["cwd"] = "/made/here"
    config.write_text(json.dumps(document), encoding="utf-8")
    assert wasmoci.run(bundle, engine=engine).stdout == b"wrote new: 1\n"
    assert (bundle / "rootfs" / "made" / "here" / "new").read_text(encoding="utf-8") == "x"
