"""How ``wasmoci config --write`` treats files: in one step, with a backup, or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.support import FILES, RUNTIME, apply, file
from wasmoci.errors import IntegrationError
from wasmoci.integration import Outcome, Request, install, plan


@pytest.mark.parametrize("target", FILES)
def test_twice(tmp_path: Path, target: str) -> None:
    """The first time it is written, for all to read, and the second time nothing is to do."""
    assert apply(target, tmp_path).outcome is Outcome.WRITTEN
    path = file(tmp_path, target)
    before = path.stat()
    assert before.st_mode & 0o777 == 0o644
    assert apply(target, tmp_path).outcome is Outcome.UNCHANGED
    assert path.stat() == before
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


@pytest.mark.parametrize(
    ("target", "backup"),
    [
        ("podman", "etc/containers/50-wasmoci.conf.wasmoci-backup"),
        ("cri-o", "etc/crio/50-wasmoci.conf.wasmoci-backup"),
        ("containerd", "etc/containerd/config.toml.wasmoci-backup"),
        ("docker", "etc/docker/daemon.json.wasmoci-backup"),
    ],
)
def test_backups(tmp_path: Path, target: str, backup: str) -> None:
    """What is replaced is kept, each time, and never in a directory of which all files are read as configuration."""
    path = file(tmp_path, target)
    contents = []
    for number in range(3):
        apply(target, tmp_path, runtime=Path(f"/{number}/wasmoci-runtime"))
        contents.append(path.read_text())
    kept = tmp_path / backup
    assert [kept.read_text(), kept.with_name(f"{kept.name}.1").read_text()] == contents[:2]
    assert list(path.parent.glob("*.conf*")) == [path] * (path.suffix == ".conf")


def test_mode_and_owner_stay(tmp_path: Path) -> None:
    """A file that is changed belongs to whom it belonged, and is for whom it was; so is its backup."""
    path = file(tmp_path, "docker", "{}")
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, 1234, 1234)
    before = path.stat()
    backup = apply("docker", tmp_path).backup
    assert backup is not None
    for found in (path.stat(), backup.stat()):
        assert (found.st_mode, found.st_uid, found.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_link_is_followed_here(tmp_path: Path) -> None:
    """On this machine a link stays one, and what it leads to is changed."""
    real = tmp_path / "real.json"
    real.write_text("{}")
    link = tmp_path / ".config/docker/daemon.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    install(plan("docker", Request(runtime=RUNTIME, home=tmp_path)))
    assert link.is_symlink()
    assert str(RUNTIME) in real.read_text()


@pytest.mark.parametrize("linked", ["etc", "etc/docker", "etc/docker/daemon.json"])
def test_link_is_refused_below_a_root(tmp_path: Path, linked: str) -> None:
    """Below a root, where links may lead out to this machine's own files, none is followed."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    link = root / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(IntegrationError, match=r"it is a symbolic link, which on this machine leads to .*/outside"):
        apply("docker", root)
    assert list(outside.iterdir()) == []


def test_changed_in_the_meantime(tmp_path: Path) -> None:
    """What somebody wrote after it was read isn't lost."""
    path = file(tmp_path, "docker", "{}")
    planned = plan("docker", Request(runtime=RUNTIME, root=tmp_path))
    path.write_text('{"debug": true}')
    with pytest.raises(IntegrationError, match="the file has changed meanwhile"):
        install(planned)
    assert path.read_text() == '{"debug": true}'


@pytest.mark.parametrize("target", FILES)
def test_directory_in_its_place(tmp_path: Path, target: str) -> None:
    """What is no file is named, and left alone."""
    path = file(tmp_path, target)
    path.mkdir(parents=True)
    with pytest.raises(IntegrationError, match=f"{path}: can't be read: Is a directory"):
        apply(target, tmp_path)


def test_not_allowed(tmp_path: Path) -> None:
    """Without the permission nothing is left behind, and the message says what to do."""
    file(tmp_path, "docker", "{}")
    directory = tmp_path / "etc/docker"
    command = [sys.executable, "-m", "wasmoci", "config", "docker", "--write"]
    command += ["--root", str(tmp_path), "--runtime", str(RUNTIME)]
    directory.chmod(0o555)
    if os.geteuid() == 0:
        # Root may do anything but for its capabilities.
        setpriv = shutil.which("setpriv")
        assert setpriv is not None
        command = [setpriv, "--bounding-set=-all", "--inh-caps=-all", *command]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        directory.chmod(0o755)
    lines = result.stderr.splitlines()
    assert result.returncode == 125
    assert lines == [
        f"wasmoci: error: {directory}/daemon.json: can't be written: Permission denied",
        "run it as root, or with --user for your own configuration",
    ]
    assert [found.name for found in directory.iterdir()] == ["daemon.json"]


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails half-way leaves the file as it was, and nothing of its own."""
    path = file(tmp_path, "docker", "{}")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IntegrationError, match="can't be written: No space left on device"):
        apply("docker", tmp_path)
    assert path.read_text() == "{}"
    assert not list(path.parent.glob(".*"))
