"""``wasmoci run`` and signals: the command ends at once, whatever the guest does, and nothing stays behind."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import COMMAND, LIMIT, environment
from tests.conftest import usable
from tests.support.bundles import write_native_bundle
from tests.support.containers import listed
from tests.support.requirements import require
from tests.support.waiting import settled
from wasmoci.native import runtimes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.heavy


def stop(number: signal.Signals, *args: str | Path, **variables: str) -> tuple[int, bytes, bytes]:
    """Call ``wasmoci run``, send a signal once the guest has begun, and give status, output and errors."""
    process = subprocess.Popen(
        [*COMMAND, "run", *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**variables),
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            process.send_signal(number)
            # The end of the outputs comes only when no process holds them any more: none is left.
            stdout, stderr = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    return process.returncode, stdout, stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("name", ["loop", "sleep"])
@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_wasm(
    engine: str,
    isolation: str,
    name: str,
    number: signal.Signals,
    guest: Callable[..., Path],
    make_bundle: Callable[..., Path],
) -> None:
    """The command dies of the signal, without a word, and takes its worker process along."""
    bundle = make_bundle(guest(name))
    assert stop(number, "--engine", engine, "--isolation", isolation, bundle) == (-number, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_tmpfs(
    isolation: str,
    number: signal.Signals,
    guest: Callable[..., Path],
    make_bundle: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """The directory behind a tmpfs mount is removed even if the command is killed."""
    usable("wasmtime")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    bundle = make_bundle(guest("sleep"), mounts=[{"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}])
    status, _, _ = stop(number, "--engine", "wasmtime", "--isolation", isolation, bundle, TMPDIR=str(scratch))
    assert status == -number
    assert settled(lambda: list(scratch.iterdir()), []) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_native(number: signal.Signals, tmp_path: Path) -> None:
    """So it does with a native container, which is gone afterwards."""
    require(shutil.which("crun") or shutil.which("runc"), "no native runtime: apt install crun runc")
    bundle = write_native_bundle(tmp_path / "bundle", "trap '' INT TERM; echo begun; while :; do :; done")
    assert stop(number, bundle) == (-number, b"", b"")
    assert [found["id"] for found in listed(runtimes.find().path) if found["bundle"] == str(bundle)] == []
