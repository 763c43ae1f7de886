"""Directories that are gone when a run is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leak_check import nothing_left
from tests.support.waiting import settled
from wasmoci.host.temporary_directory import guest_temporary_directory


def test_is_removed_with_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest may leave files, and directories that nobody may enter."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with guest_temporary_directory("test-") as directory:
        (directory / "inner").mkdir()
        (directory / "inner" / "file").write_text("x")
        (directory / "inner").chmod(0)
    assert list(tmp_path.iterdir()) == []


def test_leaves_no_process_and_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits beside the directory is gone with it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with nothing_left(), guest_temporary_directory("test-"):
        pass


def test_is_removed_without_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no shell, this process does it alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("wasmoci.host.temporary_directory._SHELL", "/nowhere/sh")
    with guest_temporary_directory("test-") as directory:
        assert directory.is_dir()
    assert list(tmp_path.iterdir()) == []


_KILLED = """
import os, signal, tempfile
from wasmoci.host.temporary_directory import guest_temporary_directory
with guest_temporary_directory("test-") as directory:
    (directory / "file").touch()
    print(directory, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_is_removed_when_the_process_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    """Also by a signal to its whole process group, as a terminal sends it."""
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        assert (directory / "file").exists()
        os.killpg(process.pid, number)
    assert settled(directory.exists, wanted=False) is False
