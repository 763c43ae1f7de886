"""The sub-commands about images: what they print, and how they fail."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.making import WASM, make_layout, member, tar
from wasmoci.cli import build, image_options
from wasmoci.cli.parsing import parser
from wasmoci.errors import ImageError, ImageNotFound, InvalidReference
from wasmoci.image import Store, UnpackLimits

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))


def command(*words: object) -> int:
    """Run a sub-command in this process; return its status."""
    arguments = [str(word) for word in words]
    options = parser(arguments[:1]).parse_args(arguments)
    status: int = options.command.run(options)
    return status


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module."""
    path = tmp_path / "hello.wasm"
    path.write_bytes(WASM)
    return path


def test_a_life(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An image is built, listed, inspected, copied, unpacked, pulled back and removed."""
    assert command("build", "-t", "hello", "--env", "A=b", "--cmd", '["a", "b c"]', module) == 0
    built = capsys.readouterr()
    name, digest = built.out.split()
    assert name == "localhost/hello:latest"
    assert built.err.startswith("engines here that run it: ")

    command("images")
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["NAME", "DIGEST", "PLATFORM", "SIZE"]
    assert line.split()[:3] == [name, digest[7:19], "wasi/wasm"]
    command("images", "--json")
    assert json.loads(capsys.readouterr().out)[0] | {"size": 0} == {
        "name": name,
        "digest": digest,
        "platform": "wasi/wasm",
        "size": 0,
    }

    command("inspect", "hello")
    seen = json.loads(capsys.readouterr().out)
    assert (seen["digest"], seen["wasm"], seen["config"]["config"]["Cmd"]) == (digest, True, ["a", "b c"])

    command("push", "hello", f"oci:{tmp_path}/layout:v1")
    command("unpack", f"oci:{tmp_path}/layout:v1", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "hello.wasm").read_bytes() == WASM
    command("pull", "--tag", "again:2", f"oci:{tmp_path}/layout:v1")
    assert [image.name for image in Store().images()] == ["localhost/again:2", name]

    capsys.readouterr()
    command("rm", "again:2", "hello")
    assert capsys.readouterr().out.splitlines() == [f"localhost/again:2 {digest}", f"{name} {digest}"]
    command("prune", "--all")
    assert capsys.readouterr().out == "0 images, 0 blobs (0 B), 0 root file systems removed\n"


def test_build_to_places(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An image goes to a layout or an archive under its name, or under the one that the place has."""
    command("build", "-t", "hello", "-o", f"oci:{tmp_path}/one", module)
    command("build", "-o", f"oci-archive:{tmp_path}/two.tar:v1", "--artifact", module)
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [f"oci:{tmp_path}/one:localhost/hello:latest", f"oci-archive:{tmp_path}/two.tar:v1"]
    command("inspect", f"{tmp_path}/two.tar")
    assert json.loads(capsys.readouterr().out)["config"]["layerDigests"]
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["build", "MODULE"], InvalidReference),
        (["build", "-o", "docker://h.io/x", "MODULE"], InvalidReference),
        (["build", "-t", "UPPER", "MODULE"], InvalidReference),
        (["build", "-t", "x", "--copy", "x", "MODULE"], ImageError),
        (["push", "oci:/nowhere"], InvalidReference),
        (["push", "missing"], InvalidReference),
        (["push", "h.io/missing"], ImageNotFound),
        (["pull", "oci:/nowhere"], InvalidReference),
        (["pull", "--tag", "x", "oci:/nowhere"], ImageNotFound),
        (["rm", "missing"], ImageNotFound),
        (["inspect", "missing"], ImageNotFound),
        (["unpack", "missing", "target"], ImageNotFound),
    ],
)
def test_failures(module: Path, words: list[str], kind: type[ImageError]) -> None:
    """What can't be done is an error of its kind."""
    with pytest.raises(kind):
        command(*(str(module) if word == "MODULE" else word for word in words))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], UnpackLimits()),
        (["size=1Gi", "file=10M"], UnpackLimits(size=1 << 30, file=10_000_000)),
        (["entries=5", "ratio=7"], UnpackLimits(entries=5, ratio=7)),
        (["other=1"], None),
        (["entries=0"], None),
        (["size"], None),
    ],
)
def test_limits(words: list[str], expected: UnpackLimits | None) -> None:
    """Limits are read by name, with units where they are bytes."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    image_options.add_limits(parser)
    arguments = [part for word in words for part in ("--limit", word)]
    if expected is None:
        with pytest.raises(argparse.ArgumentError):
            parser.parse_args(arguments)
    else:
        assert image_options.unpack_limits(parser.parse_args(arguments)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [('["a", "b c"]', ("a", "b c")), ("a 'b c'", ("a", "b c")), ("", ()), ("[1]", None), ("[", None), ("'", None)],
)
def test_words(text: str, expected: tuple[str, ...] | None) -> None:
    """Arguments are a JSON array, or words as a shell reads them."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    build.configure(parser)
    if expected is None:
        with pytest.raises(argparse.ArgumentError):
            parser.parse_args(["--entrypoint", text, "x"])
    else:
        assert parser.parse_args(["--entrypoint", text, "x"]).entrypoint == expected


def test_skipped_devices_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Devices that are left out are named."""
    layout = make_layout(tmp_path / "layout", tar(*(member(f"d{number}", "char") for number in range(7))))
    command("unpack", f"oci:{layout}", tmp_path / "bundle")
    assert "7 devices and FIFOs were left out: d0, d1, d2, d3, d4, ..." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4_449_347, "4.4 MB"), (3e13, "30.0 TB")]
)
def test_sizes(count: float, expected: str) -> None:
    """Sizes are printed with a unit that people read."""
    assert image_options.human(count) == expected


def test_a_signal_leaves_nothing_behind(tmp_path: Path) -> None:
    """A command that is ended by a signal in the middle of unpacking removes what it had made."""
    layout = make_layout(tmp_path / "layout", tar(*(member(f"f{number}") for number in range(50))))
    program = (
        "import argparse, os, signal\n"
        "from wasmoci.cli import unpack\n"
        "os.fchmod = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "parser = argparse.ArgumentParser()\n"
        "unpack.configure(parser)\n"
        f"unpack.run(parser.parse_args(['oci:{layout}', '{tmp_path}/bundle']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": "."}, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["layout"]


def test_the_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is drawn on a terminal, wiped at the end, and left out elsewhere."""
    blob: Any = argparse.Namespace(digest="sha256:a", size=2000)
    with image_options.Bar() as bar:
        bar(blob, 1000)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with image_options.Bar() as bar:
        bar(blob, 1000)
    shown = capsys.readouterr().err
    assert "[############            ] 1.0 kB of 2.0 kB, 1 blobs" in shown
    assert shown.endswith(" \r")
