"""Layers applied to a root file system: what each entry does, and what a hostile one can't do."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.image.making import make_layout, member, tar, tree
from tests.support.leak_check import no_descriptor_left
from wasmoci.errors import ImageError, ImageLimitExceeded, InvalidImage, UnsafeLayer
from wasmoci.image import UnpackLimits, open_image, unpack
from wasmoci.image.layers.layer import LayerApplier
from wasmoci.image.streams.tar import TarReader
from wasmoci.image.streams.unpack_limits import Budget

if TYPE_CHECKING:
    from pathlib import Path


def apply(root: Path, *layers: bytes, owner: bool = False, limits: UnpackLimits | None = None) -> list[str]:
    """Apply layers to a new directory; return what was passed over."""
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    try:
        applier = LayerApplier(fd, owner=owner, budget=Budget(limits or UnpackLimits()))
        for layer in layers:
            applier.apply(TarReader(io.BytesIO(layer), source="layer"), source="layer")
        return applier.finish().skipped
    finally:
        os.close(fd)


FILE = ("file", 0o644, b"x")
DIR = ("dir", 0o755)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param([[member("a/b/c", data=b"x")]], {"a": DIR, "a/b": DIR, "a/b/c": FILE}, id="parents are made"),
        pytest.param([[member("/a", data=b"x")]], {"a": FILE}, id="an absolute name"),
        pytest.param([[member("./a", data=b"x")]], {"a": FILE}, id="a leading dot"),
        pytest.param([[member("a", data=b"y"), member("a", data=b"x")]], {"a": FILE}, id="the later entry counts"),
        pytest.param([[member("a", data=b"y")], [member("a", data=b"x")]], {"a": FILE}, id="a file over a file"),
        pytest.param([[member("a/b", data=b"x")], [member("a", data=b"x")]], {"a": FILE}, id="a file over a directory"),
        pytest.param([[member("a")], [member("a/b", "dir")]], None, id="beneath a file"),
        pytest.param([[member("a")], [member("a", "dir")]], {"a": DIR}, id="a directory over a file"),
        pytest.param(
            [[member("a/b", data=b"x")], [member("a", "dir", mode=0o700)]],
            {"a": ("dir", 0o700), "a/b": FILE},
            id="a directory over a directory keeps what is in it",
        ),
        pytest.param(
            [[member("d/f", data=b"x"), member("l", "symlink", link="d")], [member("l", "dir")]],
            {"d": DIR, "d/f": FILE, "l": DIR},
            id="a directory over a link to a directory",
        ),
        pytest.param(
            [[member("d", "dir"), member("l", "symlink", link="d")], [member("l/f", data=b"x")]],
            {"d": DIR, "d/f": FILE, "l": ("symlink", "d")},
            id="beneath a link",
        ),
        pytest.param(
            [[member("d", "dir"), member("l", "symlink", link="/d"), member("l/f", data=b"x")]],
            {"d": DIR, "d/f": FILE, "l": ("symlink", "/d")},
            id="beneath an absolute link",
        ),
        pytest.param(
            [[member("l", "symlink", link="new"), member("l/f", data=b"x")]],
            {"new": DIR, "new/f": FILE, "l": ("symlink", "new")},
            id="beneath a link to nowhere",
        ),
        pytest.param(
            [[member("a", data=b"x"), member("d/b", "link", link="/a")]],
            {"a": FILE, "d": DIR, "d/b": FILE},
            id="a hard link",
        ),
        pytest.param(
            [[member("a", data=b"x")], [member("a", "link", link="a")]], {"a": FILE}, id="a hard link to itself"
        ),
        pytest.param(
            [[member("a", data=b"x")], [member("b", "link", link="a")], [member(".wh.a")]],
            {"b": FILE},
            id="a hard link outlives its target",
        ),
        pytest.param(
            [[member("s", "symlink", link="a"), member("t", "link", link="s")]],
            {"s": ("symlink", "a"), "t": ("symlink", "a")},
            id="a hard link to a symbolic link",
        ),
        pytest.param([[member("a")], [member(".wh.a")]], {}, id="a whiteout"),
        pytest.param([[member("d/a")], [member(".wh.d")]], {}, id="a whiteout of a directory"),
        pytest.param([[member(".wh.a")]], {}, id="a whiteout of nothing"),
        pytest.param([[member("x/y/.wh.a")]], {}, id="a whiteout where there is no directory"),
        pytest.param(
            [[member("a", data=b"y")], [member("a", data=b"x"), member(".wh.a")]],
            {"a": FILE},
            id="a whiteout leaves its own layer alone",
        ),
        pytest.param(
            [[member("d/old"), member("d/e/old")], [member("d/e/new", data=b"x"), member("d/.wh..wh..opq")]],
            {"d": DIR, "d/e": DIR, "d/e/new": FILE},
            id="an opaque directory",
        ),
        pytest.param(
            [[member("d/old")], [member("d/.wh..wh..opq"), member("d/new", data=b"x")]],
            {"d": DIR, "d/new": FILE},
            id="an opaque whiteout that comes first",
        ),
        pytest.param(
            [[member("old")], [member("new", data=b"x"), member(".wh..wh..opq")]], {"new": FILE}, id="an opaque root"
        ),
        pytest.param(
            [[member("d/old")], [member("d/new", data=b"x"), member(".wh.d")]],
            {"d": DIR, "d/new": FILE},
            id="a whiteout of a directory that its own layer adds to",
        ),
        pytest.param(
            [[member("a", data=b"x")], [member(".wh..wh.aufs"), member(".wh..wh.plnk", "dir")]],
            {"a": FILE},
            id="what AUFS keeps for itself",
        ),
        pytest.param([[member("a", data=b"y")], [member("a", "fifo")]], {}, id="a FIFO takes the place of a file"),
        pytest.param([[member("./", "dir", mode=0o700), member("a", data=b"x")]], {"a": FILE}, id="the root itself"),
        pytest.param([[member("a" * 255, data=b"x")]], {"a" * 255: FILE}, id="a long name"),
        pytest.param([[member("a", data=b"x", mode=0o6711)]], {"a": ("file", 0o6711, b"x")}, id="set-user-ID"),
    ],
)
def test_entries(tmp_path: Path, layers: list[list[tuple[tarfile.TarInfo, bytes]]], expected: object) -> None:
    """Each kind of entry does what the image specification says, over whatever was there."""
    if expected is None:
        with pytest.raises(InvalidImage, match="not a directory"):
            apply(tmp_path / "root", *(tar(*layer) for layer in layers))
        return
    apply(tmp_path / "root", *(tar(*layer) for layer in layers))
    assert tree(tmp_path / "root") == expected


OUTSIDE = "../../outside"

HOSTILE = {
    "dot-dot": [member("../outside/owned")],
    "dot-dot within": [member("a/../../outside/owned")],
    "dot-dot behind an absolute name": [member("/../outside/owned")],
    "through a link up": [member("l", "symlink", link=OUTSIDE), member("l/owned")],
    "through an absolute link": [member("l", "symlink", link="{outside}"), member("l/owned")],
    "through a chain of links": [
        member("d/l", "symlink", link="../../../../../../../.."),
        member("m", "symlink", link="d/l/{outside}"),
        member("m/owned"),
    ],
    "a directory through a link": [member("l", "symlink", link=OUTSIDE), member("l/d", "dir")],
    "mode of a linked directory": [member("l", "symlink", link="{outside}"), member("l", "dir", mode=0o777)],
    "over a link to a file": [member("l", "symlink", link="{outside}/kept"), member("l", data=b"owned")],
    "a hard link to outside": [member("l", "link", link="../outside/kept"), member("l", data=b"owned")],
    "a hard link to an absolute name": [member("l", "link", link="{outside}/kept"), member("l", data=b"owned")],
    "a hard link through a link": [
        member("l", "symlink", link="{outside}"),
        member("m", "link", link="l/kept"),
        member("m", data=b"owned"),
    ],
    "a hard link to a link": [
        member("l", "symlink", link="{outside}/kept"),
        member("m", "link", link="l"),
        member("m", data=b"owned"),
    ],
    "a whiteout of the parent": [member("d", "dir"), member("d/.wh...")],
    "a whiteout of the directory": [member("d", "dir"), member("d/.wh..")],
    "a whiteout through a link": [member("l", "symlink", link="{outside}"), member("l/.wh.kept")],
    "an opaque whiteout through a link": [member("l", "symlink", link="{outside}"), member("l/.wh..wh..opq")],
    "a whiteout of nothing": [member(".wh.")],
    "devices": [
        member("null", "char", devmajor=1, devminor=3),
        member("disk", "block", devmajor=8),
        member("p", "fifo"),
    ],
    "a NUL": [member("a", pax_headers={"path": "a\0/../../outside/owned"})],
    "a link for the root": [member("./", "symlink", link="{outside}")],
    "a file for the root": [member("/", data=b"x")],
    "a link loop": [member("a", "symlink", link="b"), member("b", "symlink", link="a"), member("a/f")],
    "a link to itself": [member("a", "symlink", link="a"), member("a/f")],
    "too deep": [member("/".join("d" * 600))],
    "a link of many steps": [member("d", "dir"), member("l", "symlink", link="d/../" * 2000 + "d"), member("l/f")],
    "ownership of nobody": [member("a", uid=2**32 - 1)],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("split", [False, True], ids=["one layer", "a layer each"])
def test_hostile_layers(tmp_path: Path, name: str, *, split: bool) -> None:
    """Whatever a layer tries, everything outside stays as it is, and what is unpacked stays inside."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "kept").write_text("kept")
    before = (tree(outside), outside.stat().st_mode)
    members = []
    for info, data in HOSTILE[name]:
        copied = tarfile.TarInfo(info.name)
        for key in ("type", "mode", "uid", "size", "devmajor", "devminor", "pax_headers"):
            setattr(copied, key, getattr(info, key))
        copied.linkname = info.linkname.format(outside=outside)
        members.append((copied, data))
    layers = [tar(one) for one in members] if split else [tar(*members)]
    inner = tmp_path / "a"
    inner.mkdir()
    with no_descriptor_left(), contextlib.suppress(ImageError):
        apply(inner / "root", *layers, owner=os.geteuid() == 0)
    assert (tree(outside), outside.stat().st_mode) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "outside"]
    assert [path.name for path in inner.iterdir()] == ["root"]
    for path in (inner / "root").rglob("*"):
        assert path.is_symlink() or path.is_file() or path.is_dir()


@pytest.mark.parametrize(
    ("entry", "kind", "words"),
    [
        (member("../x"), UnsafeLayer, "'..'"),
        (member("d/.wh..."), UnsafeLayer, "whiteout of '..'"),
        (member(".", data=b""), UnsafeLayer, "root directory"),
        (member("x", "link", link="/"), UnsafeLayer, "hard link"),
        (member("x", "link", link="y"), InvalidImage, "isn't there"),
        (member("x" * 300), ImageError, "too long"),
    ],
)
def test_refusals_name_the_entry(
    tmp_path: Path, entry: tuple[tarfile.TarInfo, bytes], kind: type[ImageError], words: str
) -> None:
    """A refused entry's error names the layer and the entry, and says why."""
    with pytest.raises(kind) as caught:
        apply(tmp_path / "root", tar(entry))
    assert words in caught.value.message
    assert caught.value.message.startswith(f"layer: {entry[0].name!r}: ")


def test_devices_are_reported(tmp_path: Path) -> None:
    """Devices and FIFOs are not made, and are reported."""
    skipped = apply(tmp_path / "root", tar(member("dev/null", "char"), member("dev/sda", "block"), member("p", "fifo")))
    assert (skipped, tree(tmp_path / "root")) == (["dev/null", "dev/sda", "p"], {})


def test_times_and_modes(tmp_path: Path) -> None:
    """Times are kept to the nanosecond, also of directories that get entries later, and of links."""
    layers = (
        tar(
            member("d", "dir", mode=0o1750, pax_headers={"mtime": "1.000000002"}),
            member("d/l", "symlink", link="x", mtime=7),
        ),
        tar(member("d/f", mtime=12, mode=0o4755)),
    )
    apply(tmp_path / "root", *layers)
    found = {name: (tmp_path / "root" / name).lstat() for name in ("d", "d/l", "d/f")}
    assert {name: status.st_mtime_ns for name, status in found.items()} == {
        "d": 1_000_000_002,
        "d/l": 7 * 10**9,
        "d/f": 12 * 10**9,
    }
    assert (found["d"].st_mode & 0o7777, found["d/f"].st_mode & 0o7777) == (0o1750, 0o4755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owners(tmp_path: Path) -> None:
    """As root files, directories and links belong to whom the layer says, and keep set-user-ID."""
    apply(
        tmp_path / "root",
        tar(
            member("d", "dir", uid=1, gid=2),
            member("d/f", uid=3, gid=4, mode=0o4755),
            member("d/l", "symlink", link="f", uid=5, gid=6),
        ),
        owner=True,
    )
    found = {name: (tmp_path / "root" / name).lstat() for name in ("d", "d/f", "d/l")}
    assert {name: (s.st_uid, s.st_gid) for name, s in found.items()} == {"d": (1, 2), "d/f": (3, 4), "d/l": (5, 6)}
    assert found["d/f"].st_mode & 0o7777 == 0o4755


@pytest.mark.parametrize(
    ("limits", "layer", "words"),
    [
        (UnpackLimits(entries=2), tar(member("a"), member("b"), member("c")), "more than 2 entries"),
        (UnpackLimits(entries=5), tar(member("a/b/c/d/e/f")), "more than 5 entries"),
        (UnpackLimits(file=10), tar(member("a", data=b"x" * 11)), "'a' has 11 bytes"),
    ],
)
def test_limits(tmp_path: Path, limits: UnpackLimits, layer: bytes, words: str) -> None:
    """An image that is too much is refused as soon as it shows, directories that are only implied included."""
    with pytest.raises(ImageLimitExceeded, match=words):
        apply(tmp_path / "root", layer, limits=limits)


def test_bombs(tmp_path: Path) -> None:
    """A layer that grows too much is refused by its size and by its ratio, and nothing of it is left."""
    layout = make_layout(tmp_path / "layout", tar(member("zeros", data=bytes(100 << 20))))
    for limits, words in ((UnpackLimits(size=1 << 20), "more than 1048576 bytes"), (UnpackLimits(ratio=2), "2 to 1")):
        with (
            open_image(f"oci:{layout}") as image,
            pytest.raises(ImageLimitExceeded, match=words),
        ):
            unpack(image, tmp_path / "bundle", limits=limits)
        assert [path.name for path in tmp_path.iterdir()] == ["layout"]
