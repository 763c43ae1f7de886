"""``podman cp`` with a Wasm container that runs: the files are the guest's, as they are a native program's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.images import NATIVE, WASM

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.podman import Podman

KINDS = [(WASM, ("/sleep.wasm",)), (NATIVE, ("/bin/sleep", "1000"))]
each_kind = pytest.mark.parametrize(("image", "command"), KINDS, ids=["wasm", "native"])


@each_kind
def test_cp(podman: Podman, container: str, tmp_path: Path, image: str, command: tuple[str, ...]) -> None:
    """What is copied in comes out again, from a tmpfs and from a volume too, and the root has no more than the image."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "in").write_text("copied\n")
    options = ("--tmpfs=/tmp", f"--volume={tmp_path}/volume:/volume")
    podman("run", "--detach", "--name", container, *options, image, *command)
    for place in ("/", "/tmp/", "/volume/"):
        podman("cp", tmp_path / "in", f"{container}:{place}in")
        podman("cp", f"{container}:{place}in", tmp_path / "out")
        assert (tmp_path / "out").read_text() == "copied\n"
    assert (tmp_path / "volume" / "in").read_text() == "copied\n"
    if image == WASM:
        for place in ("/", "/tmp/", "/volume/"):
            assert (
                podman("exec", container, "/files.wasm", "read", f"{place}in").stdout == f"read {place}in: copied\n\n"
            )
    else:
        assert podman("exec", container, "cat", "/tmp/in").stdout == "copied\n"


def test_the_engine_is_not_to_be_had(podman: Podman, container: str, tmp_path: Path) -> None:
    """Neither the interpreter nor the system's files are copied out of a container."""
    podman("run", "--detach", "--name", container, WASM, "/sleep.wasm")
    podman("cp", f"{container}:/", tmp_path / "root")
    found = {path.name for path in (tmp_path / "root").iterdir()}
    assert {"sleep.wasm", "data", "bin"} <= found
    assert not found & {"usr", "lib", "lib64", "root", ".container", ".compiled"}
    for path in ("/usr/bin", "/.container"):
        assert "could not be found" in podman("cp", f"{container}:{path}", tmp_path / "x", check=False).stderr
