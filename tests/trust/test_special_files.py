"""A FIFO, a socket, a device, a directory or a link in a file's place is refused at once: nobody waits for it, and nothing is read from it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.image.making import WASM, make_layout, member, tar
from wasmoci.cli import main
from wasmoci.dispatch import settings_file
from wasmoci.errors import ImageError, InvalidConfiguration, InvalidImage, InvalidInput, InvalidModule, InvalidReference
from wasmoci.host.regular_file import open_regular, read_regular
from wasmoci.image import Copy, build, looks_like_image, open_image, parse_reference
from wasmoci.image.registries.certificates import tls_context
from wasmoci.image.registries.credentials import find_credential
from wasmoci.integration import files
from wasmoci.oci.bundle import Bundle
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))


def listen(path: Path) -> None:
    """Leave a socket behind."""
    fd = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{fd}/{path.name}")  # its own path may be too long
    os.close(fd)


def device(path: Path) -> None:
    """Make one like ``/dev/zero``."""
    if os.geteuid() != 0:
        pytest.skip("making a device needs root")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


MAKE: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "socket": listen,
    "device": device,
    "directory": os.mkdir,
    "link": lambda path: path.symlink_to(f"{path}.aside"),
    "link to a FIFO": lambda path: (os.mkfifo(f"{path}.fifo"), path.symlink_to(f"{path}.fifo")),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path.name),
}
REFUSED = [kind for kind in MAKE if kind != "link"]
"""What may not stand for a file where the caller himself has named it."""


def put(path: Path, kind: str) -> Path:
    """Put something else in a file's place; the file is where a link leads to."""
    if path.exists():
        path.rename(f"{path}.aside")
    MAKE[kind](path)
    return path


def descriptors() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout of one image."""
    return make_layout(tmp_path / "layout", tar(member("hello.wasm", data=WASM)))


def read(layout: Path) -> None:
    """Open whatever a layout has."""
    with open_image(f"oci:{layout}") as image:
        for layer in image.layers():
            image.blobs.open(layer.descriptor)


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("name", ["oci-layout", "index.json", "blob 0", "blob 1", "blob 2"])
def test_layouts(layout: Path, name: str, kind: str) -> None:
    """No part of a layout is anything but a regular file: not even a link, for who made the layout has made that as well."""
    blobs = sorted((layout / "blobs" / "sha256").iterdir())
    put(blobs[int(name[-1])] if name.startswith("blob") else layout / name, kind)
    with pytest.raises(InvalidImage, match=r"it is a|Is a directory|Too many levels"):
        read(layout)
    assert main(["inspect", f"oci:{layout}"]) in ((0, 125) if name.startswith("blob") else (125,))


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive", ""])
def test_archives(tmp_path: Path, kind: str, transport: str) -> None:
    """An archive is a regular file, or is refused; where nothing says what it is, it isn't taken for an image."""
    path = put(tmp_path / "image.tar", kind)
    if transport:
        with pytest.raises(ImageError), open_image(f"{transport}:{path}"):
            pass
    else:
        assert not looks_like_image(str(path))
        with pytest.raises(InvalidReference):
            parse_reference(str(path))
    assert main(["inspect", f"{transport}:{path}" if transport else str(path)]) == 125


def test_a_link_to_an_archive(layout: Path, tmp_path: Path) -> None:
    """Whoever names a link to an archive means the archive."""
    assert main(["push", f"oci:{layout}", f"oci-archive:{tmp_path}/image.tar"]) == 0
    (tmp_path / "latest").symlink_to("image.tar")
    with open_image(f"oci-archive:{tmp_path}/latest") as image, open_image(f"{tmp_path}/latest") as same:
        assert image.digest == same.digest


@pytest.mark.parametrize("kind", REFUSED)
def test_files_that_are_named(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is every other file that is named by a path: of credentials, of certificates, of settings, a module."""
    path = put(tmp_path / "file", kind)
    with pytest.raises(ImageError, match="file"):
        find_credential("h.io", "x", authfile=path)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    with pytest.raises(ImageError, match="file"):
        find_credential("h.io", "x")
    with pytest.raises(ImageError, match="no certificates"):
        tls_context(path)
    with pytest.raises(InvalidConfiguration, match="can't be read"):
        settings_file.read(str(path))
    with pytest.raises(InvalidModule):
        Module.read(path)
    with pytest.raises(files.IntegrationError):
        files.read(path, None)
    assert main(["build", "-t", "x", str(path)]) in (125, 126)


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device"])
def test_files_that_are_copied_into_an_image(tmp_path: Path, kind: str) -> None:
    """What is copied into an image is a file, a directory or a link, at any depth."""
    module = tmp_path / "hello.wasm"
    module.write_bytes(WASM)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    put(tmp_path / "deep" / "er" / "file", kind)
    with (
        pytest.raises(ImageError, match="an image has no others"),
        build(module, copies=(Copy(tmp_path / "deep", "/x"),)),
    ):
        pass


@pytest.mark.parametrize("kind", REFUSED)
def test_bundles(tmp_path: Path, kind: str) -> None:
    """The spec of a bundle is a regular file, for the command and for the runtime."""
    (tmp_path / "bundle" / "rootfs").mkdir(parents=True)
    put(tmp_path / "bundle" / "config.json", kind)
    with pytest.raises(InvalidInput):
        Bundle.load(tmp_path / "bundle")
    assert main(["run", str(tmp_path / "bundle")]) == 125
    command = [
        sys.executable,
        "-c",
        "from wasmoci.runtime.main import program; program()",
        "--root",
        str(tmp_path / "root"),
    ]
    command += ["create", "--bundle", str(tmp_path / "bundle"), "special"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    assert done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("kind", MAKE)
def test_opening(tmp_path: Path, kind: str, *, follow: bool) -> None:
    """Opening says what it is that was found."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    put(path, kind)
    if kind == "link" and follow:
        assert read_regular(path, 3) == b"cont"
        return
    with pytest.raises(OSError, match=r"expected a regular file|Is a directory|Too many levels") as caught:
        open_regular(path, follow=follow)
    if kind != "loop":
        word = kind.rpartition(" ")[2] if follow else kind.partition(" ")[0]
        assert word.replace("link", "symbolic link") in str(caught.value)


def test_a_name_that_none_can_have(tmp_path: Path) -> None:
    """Neither does a name that no file can have crash anything."""
    with pytest.raises(OSError, match="its name has a NUL byte"):
        open_regular(tmp_path / "a\0b")
    with pytest.raises(InvalidImage), open_image(f"oci-archive:{tmp_path}/a\0b"):
        pass


def test_a_pipe_that_was_given(tmp_path: Path) -> None:
    """A pipe that the caller hands over by its descriptor is read, as a shell's ``<(command)``; a FIFO of a file system isn't."""
    ours, theirs = os.pipe()
    os.write(theirs, b"content")
    os.close(theirs)
    assert read_regular(f"/dev/fd/{ours}", 100, pipe=True) == b"content"
    with pytest.raises(OSError, match="it is a FIFO"):
        read_regular(f"/dev/fd/{ours}", 100)
    os.close(ours)
    os.mkfifo(tmp_path / "pipe:[1]")
    with pytest.raises(OSError, match="it is a FIFO"):
        read_regular(tmp_path / "pipe:[1]", 100, pipe=True)


def test_a_file_that_is_replaced_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was a file when it was looked at and is a FIFO when it is opened is refused as well, and closed."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    found = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr("wasmoci.host.regular_file.os.stat", lambda *_, **__: found)
    before = descriptors()
    with pytest.raises(OSError, match="it is a FIFO"):
        open_regular(path)
    assert descriptors() == before
