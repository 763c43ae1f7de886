"""Images read from layouts and archives: what is found, and what damage is noticed."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.children import in_child
from tests.image.making import (
    LAYER_GZIP,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    WASM,
    digest,
    finish,
    make_layout,
    member,
    put,
    put_image,
    put_json,
    tar,
    tree,
)
from wasmoci.errors import ImageError, ImageNotFound, InvalidImage, WasmociError
from wasmoci.image import open_image, unpack
from wasmoci.image.streams.decompress import zstd_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAYERS = (tar(member("hello.wasm", data=WASM), member("d/old")), tar(member("d/.wh.old"), member("d/new", data=b"n")))
FILES = {
    "hello.wasm": ("file", 0o644, WASM),
    "d": ("dir", 0o755),
    "d/new": ("file", 0o644, b"n"),
}


def unpacked(reference: str, target: Path, **options: Any) -> dict[str, tuple[Any, ...]]:
    """The files of an image."""
    with open_image(reference, **options) as image:
        unpack(image, target)
    return tree(target / "rootfs")


def archive_of(layout: Path, path: Path, prefix: str = "") -> Path:
    """A layout as a tar archive."""
    with tarfile.open(path, "w") as archive:
        for file in sorted(layout.rglob("*")):
            archive.add(file, prefix + str(file.relative_to(layout)), recursive=False)
    return path


def docker_archive(
    path: Path,
    layers: tuple[bytes, ...],
    names: list[str],
    *,
    legacy: bool = False,
    pack: Callable[[bytes], bytes] = bytes,
) -> Path:
    """What ``docker save`` writes; the legacy form has links for layers that occur twice."""
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Cmd": ["/hello.wasm"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
    ).encode()
    name = digest(config).partition(":")[2] + ".json"
    members = [member(name, data=config)]
    files = []
    for number, layer in enumerate(layers):
        files.append(f"{number}/layer.tar")
        members.append(member(f"blobs/{number}" if legacy else files[-1], data=pack(layer)))
        if legacy:
            members.append(member(files[-1], "symlink", link=f"../blobs/{number}"))
    manifest = [{"Config": name, "RepoTags": names, "Layers": files}]
    path.write_bytes(tar(*members, member("manifest.json", data=json.dumps(manifest).encode())))
    return path


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda d: f"oci:{make_layout(d / 'l', *LAYERS)}", id="layout"),
        pytest.param(lambda d: f"oci:{make_layout(d / 'l', *LAYERS, tag='v1')}:v1", id="layout with a tag"),
        pytest.param(lambda d: str(make_layout(d / "l", *LAYERS, packed=False)), id="plain layers, by path"),
        pytest.param(lambda d: f"oci-archive:{archive_of(make_layout(d / 'l', *LAYERS), d / 'a.tar')}", id="archive"),
        pytest.param(
            lambda d: str(archive_of(make_layout(d / "l", *LAYERS), d / "a", "./")), id="archive with ./, by path"
        ),
        pytest.param(
            lambda d: f"docker-archive:{docker_archive(d / 'a.tar', LAYERS, ['x:1'])}:x:1", id="docker archive"
        ),
        pytest.param(lambda d: str(docker_archive(d / "a.tar", LAYERS, [], legacy=True)), id="legacy, by path"),
        pytest.param(
            lambda d: str(docker_archive(d / "a", LAYERS, [], pack=gzip.compress)), id="docker archive of packed layers"
        ),
    ],
)
def test_the_same_files_from_everywhere(tmp_path: Path, make: Callable[[Path], str]) -> None:
    """An image's files are the same from a layout and from an archive of either kind."""
    assert unpacked(make(tmp_path), tmp_path / "bundle") == FILES


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zstd_module().compress(data)], ids=["gzip", "zstd"])
def test_archives_compressed_as_a_whole(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """An archive that somebody has compressed is read all the same."""
    path = tmp_path / "a.tar.packed"
    path.write_bytes(pack(archive_of(make_layout(tmp_path / "l", *LAYERS), tmp_path / "a").read_bytes()))
    assert unpacked(str(path), tmp_path / "bundle") == FILES


def zstd_frames(data: bytes) -> bytes:
    """A stream of several frames, with one that is to be skipped."""
    zstd = zstd_module()
    half = len(data) // 2
    skipped: bytes = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
    return skipped + zstd.compress(data[:half]) + skipped + zstd.compress(data[half:])  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("media_type", "pack"),
    [
        ("application/vnd.oci.image.layer.v1.tar", bytes),
        ("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress),
        (
            "application/vnd.oci.image.layer.v1.tar+gzip",
            lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:]),
        ),
        ("application/vnd.oci.image.layer.v1.tar+zstd", lambda data: zstd_module().compress(data)),
        ("application/vnd.oci.image.layer.v1.tar+zstd", zstd_frames),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip.compress),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", bytes),
    ],
)
def test_compressions(tmp_path: Path, media_type: str, pack: Callable[[bytes], bytes]) -> None:
    """Layers are read in every compression, in several members or frames, and when the media type is wrong about it."""
    assert unpacked(
        f"oci:{single(tmp_path / 'l', pack(LAYERS[0]), media_type, digest(LAYERS[0]))}", tmp_path / "b"
    ) == {
        "hello.wasm": ("file", 0o644, WASM),
        "d": ("dir", 0o755),
        "d/old": ("file", 0o644, b""),
    }


def single(
    layout: Path, blob: bytes, media_type: str, diff_id: str, *, config: str = OCI_CONFIG, **changes: Any
) -> Path:
    """A layout of one layer, whatever it is; ``changes`` are put into the manifest."""
    document = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Cmd": ["/hello.wasm"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": put_json(layout, document, config),
        "layers": [put(layout, blob, media_type)],
        **changes,
    }
    return finish(layout, put_json(layout, manifest, OCI_MANIFEST))


PACKED = gzip.compress(LAYERS[0], mtime=0)


def spoil(layout: Path, change: Callable[[bytes], bytes]) -> Path:
    """Change the layer's blob, not what is said about it."""
    blob = layout / "blobs/sha256" / digest(PACKED).partition(":")[2]
    blob.write_bytes(change(blob.read_bytes()))
    return layout


def good(path: Path) -> Path:
    """A layout of one good layer."""
    return single(path, PACKED, LAYER_GZIP, digest(LAYERS[0]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda d: spoil(good(d), lambda b: b[:-1] + b"?"), "hashes to|damaged gzip", id="a changed byte"),
        pytest.param(lambda d: spoil(good(d), lambda b: b + b"?"), "more than the|damaged gzip", id="a byte more"),
        pytest.param(lambda d: spoil(good(d), lambda b: b[:-9]), "its descriptor gives", id="cut off"),
        pytest.param(lambda d: spoil(good(d), lambda _: b""), "0 bytes", id="empty"),
        pytest.param(
            lambda d: spoil(good(d), lambda _: gzip.compress(LAYERS[1])), "bytes|hashes to", id="another layer"
        ),
        pytest.param(lambda d: single(d, PACKED, LAYER_GZIP, digest(b"")), "hashes to", id="a wrong diff_id"),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, "sha256:../../../etc/passwd"), "digest is", id="a path for a digest"
        ),
        pytest.param(
            lambda d: single(d, PACKED + b"junk", LAYER_GZIP, digest(LAYERS[0])), "damaged gzip", id="junk after gzip"
        ),
        pytest.param(
            lambda d: single(d, gzip.compress(LAYERS[0] + b"after"), LAYER_GZIP, digest(LAYERS[0])),
            "hashes to",
            id="junk after tar",
        ),
        pytest.param(lambda d: single(d, b"x" * 2000, LAYER_GZIP, digest(b"x" * 2000)), "damaged tar", id="no archive"),
        pytest.param(
            lambda d: single(d, PACKED, "application/x-new", digest(LAYERS[0])),
            "'application/x-new' is not known",
            id="layer",
        ),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, digest(LAYERS[0]), config="application/x-config"),
            "'application/x-config' is not known",
            id="config",
        ),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, digest(LAYERS[0]), schemaVersion=1), "schema 1", id="schema 1"
        ),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, digest(LAYERS[0]), schemaVersion="2"), "expected 2", id="schema"
        ),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, digest(LAYERS[0]), layers={}),
            r"\$.layers: is an object",
            id="layers",
        ),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, digest(LAYERS[0]), layers=[]),
            "0 layers, the config 1",
            id="no layers",
        ),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, digest(LAYERS[0]), annotations={"a": 1}),
            "expected a string",
            id="annotations",
        ),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, digest(LAYERS[0]), manifests=[]),
            "index and a manifest at once",
            id="both",
        ),
        pytest.param(
            lambda d: single(d, PACKED, LAYER_GZIP, digest(LAYERS[0]), mediaType=OCI_INDEX), "says it is", id="confused"
        ),
        pytest.param(
            lambda d: finish(d, {"mediaType": OCI_MANIFEST, "digest": digest(b""), "size": 0}),
            "is missing",
            id="missing",
        ),
        pytest.param(
            lambda d: finish(d, {"mediaType": OCI_MANIFEST, "digest": digest(b""), "size": 1 << 40}),
            "at most",
            id="huge",
        ),
        pytest.param(
            lambda d: finish(d, {"mediaType": OCI_MANIFEST, "digest": digest(b""), "size": -1}),
            "number of bytes",
            id="size",
        ),
        pytest.param(
            lambda d: finish(d, put(d, b"{}", OCI_MANIFEST)), "'schemaVersion' is missing", id="empty manifest"
        ),
        pytest.param(lambda d: finish(d, put(d, b"[" * 99999, OCI_MANIFEST)), "not JSON", id="deep JSON"),
        pytest.param(lambda d: finish(d, put(d, b"\xff", OCI_MANIFEST)), "not JSON", id="no JSON"),
    ],
)
def test_damage(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    """Whatever is wrong with an image is an error that says so, and nothing of it is left behind."""
    layout = make(tmp_path / "layout")
    with pytest.raises(InvalidImage, match=words) as caught, open_image(f"oci:{layout}") as image:
        unpack(image, tmp_path / "bundle")
    assert caught.value.message.startswith(str(layout))
    assert [path.name for path in tmp_path.iterdir()] == ["layout"]


def test_wrong_version(tmp_path: Path) -> None:
    """A layout of another version is refused."""
    layout = good(tmp_path / "l")
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(InvalidImage, match=r"'2\.0\.0'; expected 1\.0\.0"), open_image(f"oci:{layout}"):
        pass


def indexed(path: Path, *platforms: tuple[str, str] | None, nested: bool = False) -> Path:
    """A layout with an image for each platform, which says its platform in its only file."""
    path.mkdir(exist_ok=True)
    found = []
    for platform in platforms:
        text = "/".join(platform or ("none", "none"))
        shown = {} if platform is None else {"platform": {"os": platform[0], "architecture": platform[1]}}
        real = platform or ("wasi", "wasm")
        found.append(put_image(path, [tar(member("is", data=text.encode()))], target=real, **shown))
    if not nested:
        return finish(path, *found)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
    return finish(path, put_json(path, index, OCI_INDEX))


WASI, WASIP1, WASM32, LINUX_WASM = ("wasi", "wasm"), ("wasip1", "wasm"), ("wasi", "wasm32"), ("linux", "wasm")
HOST = ("linux", {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine))
OTHER = ("linux", "s390x")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("platforms", "asked", "expected"),
    [
        ((HOST, LINUX_WASM, WASM32, WASIP1, WASI), None, "wasi/wasm"),
        ((HOST, LINUX_WASM, WASM32, WASIP1), None, "wasip1/wasm"),
        ((HOST, LINUX_WASM, WASM32), None, "wasi/wasm32"),
        ((HOST, LINUX_WASM), None, "linux/wasm"),
        ((OTHER, HOST), None, "/".join(HOST)),
        ((OTHER,), None, "/".join(OTHER)),
        ((HOST, WASI, OTHER), "linux/s390x", "linux/s390x"),
        ((HOST, None), None, "/".join(HOST)),
        ((OTHER, None), None, "none/none"),
        ((("unknown", "unknown"), OTHER), None, "/".join(OTHER)),
        ((OTHER, ("linux", "ppc64le")), None, ImageNotFound),
        ((WASI,), "linux/amd64", ImageNotFound),
    ],
)
def test_platforms(
    tmp_path: Path, platforms: tuple[Any, ...], asked: str | None, expected: Any, *, nested: bool
) -> None:
    """Of an index's images the one for Wasm is taken, else the one for this machine, or the one that is asked for."""
    reference = f"oci:{indexed(tmp_path / 'l', *platforms, nested=nested)}"
    if expected is ImageNotFound:
        with pytest.raises(ImageNotFound, match="no image for"), open_image(reference, platform=asked):
            pass
        return
    assert unpacked(reference, tmp_path / "b", platform=asked)["is"][2].decode() == expected


def test_tags(tmp_path: Path) -> None:
    """A layout of several images wants a tag, and says which there are."""
    layout = tmp_path / "l"
    found = []
    for tag in ("one", "two"):
        name = {"org.opencontainers.image.ref.name": tag}
        found.append({**put_image(layout, [tar(member("is", data=tag.encode()))]), "annotations": name})
    finish(layout, *found)
    assert unpacked(f"oci:{layout}:two", tmp_path / "b")["is"][2] == b"two"
    for reference in (f"oci:{layout}", f"oci:{layout}:three"):
        with pytest.raises(ImageNotFound) as caught, open_image(reference):
            pass
        assert caught.value.hint == "available tags: one, two"


def test_indexes_within_indexes_end(tmp_path: Path) -> None:
    """An index that nests without end is refused."""
    layout = tmp_path / "l"
    descriptor = put_image(layout, [LAYERS[0]])
    for _ in range(8):
        descriptor = put_json(layout, {"schemaVersion": 2, "manifests": [descriptor]}, OCI_INDEX)
    finish(layout, descriptor)
    with pytest.raises(InvalidImage, match="nested"), open_image(f"oci:{layout}"):
        pass


def artifact(
    path: Path, *layers: tuple[str, bytes, dict[str, str]], config: tuple[str, dict[str, Any]] | None = None
) -> str:
    """A layout of WebAssembly layers."""
    media_type, document = config or ("application/vnd.wasm.config.v0+json", {"os": "wasip1", "architecture": "wasm"})
    manifest = {
        "schemaVersion": 2,
        "config": put_json(path, document, media_type),
        "layers": [put(path, data, kind, annotations=notes) for kind, data, notes in layers],
    }
    return f"oci:{finish(path, put_json(path, manifest, OCI_MANIFEST))}"


CNCF, RUNWASI = "application/wasm", "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"
TITLE = "org.opencontainers.image.title"


@pytest.mark.parametrize(
    ("layers", "config", "names", "args"),
    [
        ([(CNCF, WASM, {})], None, ["module.wasm"], ["/module.wasm"]),
        ([(CNCF, WASM, {TITLE: "x.wasm"})], None, ["x.wasm"], ["/x.wasm"]),
        ([(CNCF, WASM, {TITLE: "../../x.wasm"})], None, ["x.wasm"], ["/x.wasm"]),
        ([(CNCF, WASM, {}), (CNCF, WASM + b"\0\1\0", {TITLE: "y"})], None, ["module.wasm", "y"], ["/module.wasm"]),
        ([(CNCF, WASM, {})], ("application/vnd.oci.empty.v1+json", {}), ["module.wasm"], ["/module.wasm"]),
        (
            [(RUNWASI, WASM, {})],
            (OCI_CONFIG, {"os": "wasip1", "architecture": "wasm", "config": {"Entrypoint": ["app.wasm", "a"]}}),
            ["app.wasm"],
            ["app.wasm", "a"],
        ),
        (
            [(RUNWASI, WASM, {})],
            (OCI_CONFIG, {"os": "wasi", "architecture": "wasm", "config": {"Cmd": ["./a#f"], "WorkingDir": "/srv"}}),
            ["srv", "srv/a"],
            ["./a#f"],
        ),
    ],
)
def test_artifacts(tmp_path: Path, layers: Any, config: Any, names: list[str], args: list[str]) -> None:
    """Wasm layers become files, where the arguments look for the module, and are run as Wasm."""
    with open_image(artifact(tmp_path / "l", *layers, config=config)) as image:
        unpack(image, tmp_path / "b")
    assert sorted(tree(tmp_path / "b" / "rootfs")) == names
    spec = json.loads((tmp_path / "b" / "config.json").read_text())
    assert spec["process"]["args"] == args
    assert spec["annotations"]["module.wasm.image/variant"] == "compat"


@pytest.mark.parametrize(
    ("layers", "config", "words"),
    [
        ([(CNCF, b"\x7fELF", {})], None, "begins with"),
        ([(CNCF, WASM, {}), (CNCF, WASM + b"\0\1\0", {})], None, "no title"),
        ([(CNCF, WASM, {TITLE: "a/.."})], None, "title"),
        ([(LAYER_GZIP, PACKED, {})], ("application/vnd.oci.empty.v1+json", {}), "without a config"),
    ],
)
def test_odd_artifacts(tmp_path: Path, layers: Any, config: Any, words: str) -> None:
    """An artifact that can't be made sense of is refused."""
    with (
        pytest.raises(ImageError, match=words),
        open_image(artifact(tmp_path / "l", *layers, config=config)) as image,
    ):
        unpack(image, tmp_path / "b")


def test_docker_archive_names(tmp_path: Path) -> None:
    """Docker's archives are asked by name, with the tag and the registry implied, or by number."""
    path = docker_archive(tmp_path / "a.tar", LAYERS, ["example.com/library/hello:latest"])
    for selector in ("", ":example.com/library/hello:latest", ":hello:latest", ":@0"):
        with open_image(f"docker-archive:{path}{selector}") as image:
            assert image.config.cmd == ("/hello.wasm",)
    for selector in (":other", ":@1", ":@x"):
        with pytest.raises(ImageNotFound, match="no image is named"), open_image(f"docker-archive:{path}{selector}"):
            pass


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize("data", [b"", b"x" * 5000, tar(member("a")), gzip.compress(b"x" * 100, mtime=0)[:30]])
def test_no_archives(tmp_path: Path, kind: str, data: bytes) -> None:
    """What is no image's archive is refused by its name."""
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(WasmociError) as caught, open_image(f"{kind}:{path}"):
        pass
    assert str(path) in caught.value.message


def test_interrupted_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unpack that is interrupted leaves nothing behind, and the next one succeeds."""
    layout = good(tmp_path / "layout")
    monkeypatch.setattr(
        "wasmoci.image.layers.layer_entry.os.fchmod", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        unpacked(f"oci:{layout}", tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["layout"]
    monkeypatch.undo()
    assert "hello.wasm" in unpacked(f"oci:{layout}", tmp_path / "bundle")


def test_killed_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed unpack left is removed by the next one to the same place."""
    layout = good(tmp_path / "layout")

    def work() -> None:
        monkeypatch.setattr(
            "wasmoci.image.layers.layer_entry.os.fchmod", lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        )
        unpacked(f"oci:{layout}", tmp_path / "bundle")

    assert in_child(work) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    unpacked(f"oci:{layout}", tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "layout"]


def test_target_exists(tmp_path: Path) -> None:
    """Nothing is unpacked over what is there."""
    layout = good(tmp_path / "layout")
    (tmp_path / "bundle").symlink_to("nowhere")
    with pytest.raises(ImageError, match="exists already"):
        unpacked(f"oci:{layout}", tmp_path / "bundle")


def test_archive_reads_are_bounded(tmp_path: Path) -> None:
    """A document in an archive that is larger than documents are is refused before it is read."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, size in (("oci-layout", 30), ("index.json", 9 << 20)):
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(b" " * size))
    (tmp_path / "a.tar").write_bytes(out.getvalue())
    with pytest.raises(InvalidImage, match="larger than"), open_image(f"oci-archive:{tmp_path / 'a.tar'}"):
        pass
