"""Bundles: a directory, its ``config.json`` and its root file system."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from wasmoci.errors import InvalidBundle, InvalidInput, InvalidSpec
from wasmoci.host import file_cache
from wasmoci.host.file_cache import SETTLED
from wasmoci.oci.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path


def write(directory: Path, root: object = "rootfs", **members: Any) -> Path:
    """Write a bundle's ``config.json``, and nothing else."""
    directory.mkdir(exist_ok=True)
    document = {"ociVersion": "1.0.2", "root": None if root is None else {"path": root}, **members}
    (directory / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return directory


def test_bundle_has_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is named by a relative path can be used from anywhere."""
    (write(tmp_path / "b") / "rootfs").mkdir()
    monkeypatch.chdir(tmp_path)
    bundle = Bundle.load("b")
    assert (bundle.path, bundle.rootfs) == (tmp_path / "b", tmp_path / "b" / "rootfs")
    assert bundle.spec.directory == str(tmp_path / "b")


@pytest.mark.parametrize("kind", ["relative", "absolute", "up", "link", "bundle itself"])
def test_root_can_be_anywhere(tmp_path: Path, kind: str) -> None:
    """``root.path`` is relative to the bundle, or absolute; it may be a link to a directory."""
    real = tmp_path / "elsewhere"
    real.mkdir()
    root = {"relative": "in/side", "absolute": str(real), "up": "../elsewhere", "link": "link", "bundle itself": "."}[
        kind
    ]
    directory = write(tmp_path / "b", root)
    (directory / "in" / "side").mkdir(parents=True)
    (directory / "link").symlink_to(real)
    assert Bundle.load(directory).rootfs.samefile(directory / root)


def test_path_like_is_taken(tmp_path: Path) -> None:
    """A string will do as well as a path."""
    (write(tmp_path) / "rootfs").mkdir()
    assert Bundle.load(str(tmp_path)) == Bundle.load(tmp_path)


def directory_problems(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Names of what is no bundle's directory, and what is said about each."""
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    return {
        "missing": (str(tmp_path / "missing"), "doesn't exist"),
        "dangling": (str(tmp_path / "dangling"), "doesn't exist"),
        "file": (str(tmp_path / "file"), "is not a directory"),
        "fifo": (str(tmp_path / "fifo"), "is not a directory"),
        "long": ("x" * 5000, "can't be reached: File name too long"),
    }


@pytest.mark.parametrize("name", ["missing", "dangling", "file", "fifo", "long"])
def test_directory_that_is_none(tmp_path: Path, name: str) -> None:
    """The error names the directory as the caller did."""
    path, problem = directory_problems(tmp_path)[name]
    with pytest.raises(InvalidBundle) as caught:
        Bundle.load(path)
    expected = f"{path}: {problem}; a bundle is a directory with config.json and a root file system"
    assert caught.value.message == expected


def test_nul_byte_in_the_name() -> None:
    """A name that no file can have is refused as such."""
    with pytest.raises(InvalidBundle, match="has a NUL byte"):
        Bundle.load("b\0c")


def test_config_instead_of_its_directory(tmp_path: Path) -> None:
    """Whoever names the file is told to name the directory."""
    with pytest.raises(InvalidBundle) as caught:
        Bundle.load(write(tmp_path) / "config.json")
    assert caught.value.hint == "name the directory, not the file in it"


def test_no_config(tmp_path: Path) -> None:
    """An empty directory is no bundle."""
    with pytest.raises(InvalidSpec) as caught:
        Bundle.load(tmp_path)
    assert caught.value.message == f"{tmp_path}/config.json: can't be read: No such file or directory"


def test_config_is_a_directory(tmp_path: Path) -> None:
    """A ``config.json`` has to be a file."""
    (tmp_path / "config.json").mkdir()
    with pytest.raises(InvalidSpec, match=r"config\.json: is a directory; a JSON file was expected"):
        Bundle.load(tmp_path)


def test_no_root(tmp_path: Path) -> None:
    """Without a root there is nothing to run in."""
    with pytest.raises(InvalidBundle) as caught:
        Bundle.load(write(tmp_path, None))
    assert caught.value.message == f"{tmp_path}/config.json: $.root: is missing; a root file system is needed"


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ("missing", "doesn't exist"),
        ("file", "is not a directory"),
        ("dangling", "doesn't exist"),
        ("loop", "doesn't exist"),
        ("file/below", "doesn't exist"),
        ("fifo", "is not a directory"),
        ("x" * 300, "can't be reached: File name too long"),
    ],
)
def test_root_that_is_no_directory(tmp_path: Path, root: str, problem: str) -> None:
    """The error names the file, the JSON path, the directory and what is wrong with it."""
    directory = write(tmp_path / "b", root)
    (directory / "file").write_text("")
    (directory / "dangling").symlink_to("/nowhere/at/all")
    (directory / "loop").symlink_to("loop")
    os.mkfifo(directory / "fifo")
    with pytest.raises(InvalidBundle) as caught:
        Bundle.load(directory)
    assert caught.value.message == (
        f"{directory}/config.json: $.root.path: {directory / root} {problem};"
        " the root file system's directory was expected"
    )


@pytest.mark.parametrize("error", [InvalidBundle, InvalidSpec])
def test_both_errors_are_invalid_input(error: type[Exception]) -> None:
    """Whoever doesn't care which can catch one class."""
    assert issubclass(error, InvalidInput)


@pytest.fixture(params=[0, SETTLED], ids=["settled", "just written"])
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that has been read already, for those who share it."""
    monkeypatch.setattr(file_cache, "SETTLED", request.param)
    (write(tmp_path / "b") / "rootfs").mkdir()
    Bundle.load_shared(tmp_path / "b")
    return tmp_path / "b"


def test_shared_spec_is_read_once(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays as it is, is the same object, by whichever name it is read."""
    monkeypatch.chdir(shared)
    assert Bundle.load_shared(shared).spec is Bundle.load_shared(str(shared)).spec
    assert Bundle.load_shared("../b") == Bundle.load("../b")
    assert Bundle.load_shared(shared) == Bundle.load(shared)


def test_rewritten_spec_is_seen(shared: Path, tmp_path: Path) -> None:
    """Whether its file is written again, replaced, or that of another directory with the same name."""
    write(shared, version="1")
    assert Bundle.load_shared(shared).spec.raw["version"] == "1"
    (write(tmp_path / "c", version="2") / "config.json").replace(shared / "config.json")
    assert Bundle.load_shared(shared).spec.raw["version"] == "2"
    shared.rename(tmp_path / "d")
    assert Bundle.unchanged(shared) is None
    with pytest.raises(InvalidBundle):
        Bundle.load_shared(shared)
    (write(shared, version="3") / "rootfs").mkdir()
    assert Bundle.load_shared(shared).spec.raw["version"] == "3"


def test_root_that_is_gone_is_missed(shared: Path) -> None:
    """A bundle that was read before is none without its root."""
    (shared / "rootfs").rmdir()
    assert Bundle.unchanged(shared) is None
    with pytest.raises(InvalidBundle, match="doesn't exist"):
        Bundle.load_shared(shared)
    (shared / "rootfs").write_text("")
    with pytest.raises(InvalidBundle, match="is not a directory"):
        Bundle.load_shared(shared)


def test_relative_name_belongs_to_its_directory(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name means another bundle elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (write(tmp_path / "elsewhere" / "b") / "rootfs").mkdir()
    for directory in (tmp_path, tmp_path / "elsewhere", tmp_path):
        monkeypatch.chdir(directory)
        assert Bundle.load_shared("b").path == directory / "b"
    assert Bundle.load_shared(shared).path == shared
