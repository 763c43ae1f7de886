"""Real tools for the tests: one Podman and one containerd a worker, with images of Buildah's, and nothing left of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real import images
from tests.real.containerd import Containerd
from tests.real.leftovers import settled
from tests.real.podman import Podman
from tests.real.programs import RUNTIME, program
from tests.support.decisions import forgotten
from tests.support.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.hookimpl(tryfirst=True)  # before pytest looks for markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have all tests here marked for what they need."""
    here = str(config.rootpath / "tests" / "real")
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker("real")


@pytest.fixture(autouse=True)
def _can_run() -> None:
    """Containers that have all they ask for need root; the runtime is installed with the project."""
    require(os.geteuid() == 0, "these tests need root")
    require(RUNTIME.exists(), f"{RUNTIME} is missing: pip install -e .")


@pytest.fixture(scope="session", autouse=True)
def _decisions() -> Iterator[None]:
    """Nothing is left of what the runtime keeps of containers that are gone."""
    with forgotten():
        yield


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """Podman with an image for each guest; at the end nothing of it is left on the machine."""
    require(os.geteuid() == 0, "these tests need root")
    for name in ("podman", "buildah", "runc"):
        program(name)
    # Podman takes no path for its state that is longer than 50 characters.
    directory = Path(tempfile.mkdtemp(prefix="podman-"))
    made = Podman(directory)
    try:
        images.build_all(made)
        yield made
    finally:
        ids = made("ps", "--all", "--quiet", "--no-trunc").stdout.split()
        made.end()
    assert settled(directory, *ids) == []
    shutil.rmtree(directory)


@pytest.fixture
def container(podman: Podman, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for a container, which is removed after the test, and of which nothing is left then."""
    name = f"{request.node.name.replace('[', '-').rstrip(']')}"
    name = "".join(letter if letter.isalnum() else "-" for letter in name)
    yield name
    ids = podman("ps", "--all", "--quiet", "--no-trunc", f"--filter=name=^{name}$").stdout.split()
    podman("rm", "--force", "--time=0", "--ignore", name)
    assert not ids or settled(*ids) == []


@pytest.fixture(scope="session")
def containerd(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    """Containerd with the images of Podman; at the end nothing of it is left on the machine."""
    directory: Path = tmp_path_factory.mktemp("containerd")
    with Containerd(directory) as made:
        for image in images.ALL:
            made.load(podman, image)
        yield made
    assert settled(directory) == []
