"""What native code sees and can do in the jail: what its guest has, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.requirements import require
from wasmoci.isolation.jail.support import support

INMATE = Path(__file__).with_name("inmate.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _supported() -> None:
    require(not support().problem, support().problem)


KINDS = {
    "namespaces": {"namespaces": True, "ahead": False},
    "namespaces made ahead": {"namespaces": True, "ahead": True, "may_mount": True},
    "namespaces made ahead by who may not mount": {"namespaces": True, "ahead": True, "may_mount": False},
    "landlock alone": {"namespaces": False, "ahead": False},
}


@pytest.fixture(scope="module", params=KINDS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an inmate tells that has the run of a root, may read a directory and a file, and tries everything else."""
    scratch = tmp_path_factory.mktemp("jail")
    inside, read_only, file = scratch / "rootfs", scratch / "read-only", scratch / "file"
    inside.mkdir()
    read_only.mkdir()
    (inside / "own").write_text("own", encoding="utf-8")
    (read_only / "kept").write_text("kept", encoding="utf-8")
    file.write_text("file", encoding="utf-8")
    places = [[str(inside), False], [str(read_only), True], [str(file), True]]
    with Path("/etc/passwd").open("rb") as inherited:
        ended = subprocess.run(
            [sys.executable, str(INMATE)],
            input=json.dumps({"places": places, **KINDS[request.param]}),
            env={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "SECRET": "secret"},
            pass_fds=[inherited.fileno()],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (read_only / "kept").read_text(encoding="utf-8") == "kept"
    assert sorted(path.name for path in read_only.iterdir()) == ["kept"]
    found: dict[str, Any] = json.loads(ended.stdout)
    require("unavailable" not in found, found.get("unavailable", ""))
    return {**found, "is_apart": KINDS[request.param]["namespaces"]}


def test_no_file_but_the_guests_can_be_used(told: dict[str, Any]) -> None:
    """Nothing of the host is read, made, changed or run, by whatever path."""
    outcomes = told["files"]
    told_of = outcomes.pop("stat /etc/passwd")
    assert set(outcomes.values()) <= {"EACCES", "EPERM", "ENOENT", "EROFS", "EXDEV"}, outcomes
    # Without namespaces Landlock closes files, but doesn't hide that they are there.
    assert told_of == ("ENOENT" if told["is_apart"] else True)


def test_a_guests_own_files_can_be_used(told: dict[str, Any]) -> None:
    """What is the guest's is as it was before."""
    own = told["own"]
    assert (own["rename"], own["read"], own["read a file"], own["thread"]) == (None, "kept", "file", "told")
    assert own["set times"] == (None if told["is_apart"] else "EPERM")


def test_nothing_of_the_caller_is_left(told: dict[str, Any]) -> None:
    """No variable and no descriptor but those that the process is to have; one more is that of an empty directory."""
    own = told["own"]
    assert own["environment"] == {}
    assert len(own["descriptors"]) == 4
    assert own["descriptors"][:3] == [0, 1, 2]


def test_every_system_call_that_is_not_listed_is_refused(told: dict[str, Any]) -> None:
    """All numbers that the kernel has are tried."""
    assert told["others"] == []


def test_a_listed_call_is_refused_with_other_arguments(told: dict[str, Any]) -> None:
    """Neither another process, a namespace, a terminal's input nor an address is reached."""
    assert told["calls"].pop("clone3") == "ENOSYS"
    assert set(told["calls"].values()) == {"EPERM"}, told["calls"]
