"""The runtime is killed at random moments of any command; ``delete --force`` then leaves nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.real import programs
from tests.real.direct import Direct
from tests.real.leftovers import mentions

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = int(os.environ.get("WASMOCI_KILLS", "16"))
"""How often; a thousand takes half an hour."""

COMMANDS = (
    ("create", "--bundle", "BUNDLE", "ID"),
    ("start", "ID"),
    ("kill", "ID", "15"),
    ("delete", "--force", "ID"),
)
LONGEST = 0.3


@pytest.mark.timeout(60 + 3 * ROUNDS)
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Whatever command is killed, and whenever, ``delete --force`` removes all that there is of the container."""
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)  # noqa: S311  moments, not secrets
    for number in range(ROUNDS):
        directory = tmp_path / str(number)
        directory.mkdir()
        direct = Direct(directory)
        direct.make("loop")
        killed = chance.randrange(len(COMMANDS))
        moment = chance.uniform(0, LONGEST)
        for index, command in enumerate(COMMANDS[: killed + 1]):
            arguments = [str(direct.bundle) if part == "BUNDLE" else part for part in command]
            if index < killed:
                direct(*arguments)
            else:
                _kill(direct, arguments, moment)
        direct("delete", "--force", "ID")
        where = f"seed {seed}, round {number}: {COMMANDS[killed][0]} after {moment:.3f} s"
        _gone(direct, where)


def _kill(direct: Direct, arguments: list[str], moment: float) -> None:
    """Run a command in a group of processes of its own, and kill the runtime alone after a moment."""
    with (direct.directory / "output").open("ab") as output:
        process = subprocess.Popen(
            direct.command(*arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=direct.directory
        )
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait(programs.PATIENCE)


def _gone(direct: Direct, where: str) -> None:
    """Nothing is left; a process that was killed may take a moment to vanish."""
    deadline = time.monotonic() + programs.PATIENCE
    while found := mentions(direct.id, direct.directory):
        assert time.monotonic() < deadline, (where, found)
        time.sleep(0.05)
    assert not any((direct.directory / "root").glob("*")), where
