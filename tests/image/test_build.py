"""Images that are built: the same bits every time, and what other tools look for in them."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.making import WASM, tree
from wasmoci.errors import ImageError, InvalidModule
from wasmoci.image import Copy, Platform, build, build_artifact, parse_target, push, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMPONENT = b"\0asm\x0d\0\1\0"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module in a directory of its own."""
    path = tmp_path / "in" / "hello.wasm"
    path.parent.mkdir()
    path.write_bytes(WASM)
    return path


def built(module: Path, **options: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The digest, the manifest and the config of a build."""
    with build(module, **options) as result:
        image = result.image
        manifest = {
            "annotations": dict(image.manifest.annotations),
            "layers": [layer.media_type for layer in image.manifest.layers],
        }
        return image.digest, manifest, dict(image.config.raw)


def test_defaults(module: Path) -> None:
    """Without any option the image runs the module, is for wasi/wasm, and is marked for crun."""
    _, manifest, config = built(module)
    assert manifest == {
        "annotations": {"module.wasm.image/variant": "compat"},
        "layers": ["application/vnd.oci.image.layer.v1.tar+gzip"],
    }
    assert config["config"] == {"Entrypoint": ["/hello.wasm"], "WorkingDir": "/"}
    assert (config["os"], config["architecture"], config["created"]) == ("wasi", "wasm", "1970-01-01T00:00:00Z")


def test_everything_said(module: Path) -> None:
    """Each option arrives where the image specification has it."""
    _, manifest, config = built(
        module,
        destination="/bin/",
        entrypoint=["/bin/hello.wasm", "-v"],
        cmd=["a", "b c"],
        env={"A": "b=c"},
        labels={"l": "1"},
        annotations={"n": "2"},
        workdir="/srv",
        user="web",
        platform=Platform("linux", "arm64", "v8"),
        variant="compat-smart",
        compression="zstd",
        timestamp=1,
    )
    assert manifest == {
        "annotations": {"module.wasm.image/variant": "compat-smart", "n": "2"},
        "layers": ["application/vnd.oci.image.layer.v1.tar+zstd"],
    }
    assert config["config"] == {
        "Entrypoint": ["/bin/hello.wasm", "-v"],
        "Cmd": ["a", "b c"],
        "Env": ["A=b=c"],
        "Labels": {"l": "1"},
        "WorkingDir": "/srv",
        "User": "web",
    }
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm64", "v8")
    assert config["created"] == "1970-01-01T00:00:01Z"


def disorder(module: Path) -> None:
    """Change everything that must not matter."""
    for path in module.parent.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode ^ 0o066)
            os.utime(path, (5, 5))
    (module.parent / "data" / "z").unlink()
    (module.parent / "data" / "z").write_bytes(b"z")
    if os.geteuid() == 0:
        os.chown(module, 12, 34)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_reproducible(module: Path, compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest depends on names, contents and executability alone, not on times, owners, umask or order."""
    data = module.parent / "data"
    data.mkdir()
    for name in ("z", "a", "m"):
        (data / name).write_bytes(name.encode())
    (data / "link").symlink_to("a")
    options: dict[str, Any] = {"copies": (Copy(data, "/data"),), "compression": compression}
    first = built(module, **options)[0]
    disorder(module)
    monkeypatch.chdir("/")
    assert built(module, **options)[0] == first
    (data / "a").chmod(0o700)
    assert built(module, **options)[0] != first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    dated = built(module, **options)
    assert dated[2]["created"] == "2023-11-14T22:13:20Z"
    assert dated[0] not in (first, built(module, **options, timestamp=0)[0])


def test_archives_are_reproducible(module: Path, tmp_path: Path) -> None:
    """An archive of an image is the same file every time."""
    for name in ("one", "two"):
        with build(module) as result:
            push(result.image, parse_target(f"oci-archive:{tmp_path / name}:v1"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_contents(module: Path, tmp_path: Path) -> None:
    """Files, directories and links are copied with what is in them; directories on the way are made."""
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "run").write_bytes(b"#!")
    (data / "deep" / "run").chmod(0o700)
    (data / "link").symlink_to("/etc/passwd")
    copies = (Copy(data, "/d"), Copy(data / "deep" / "run", "/e/"), Copy(data / "deep", "/"))
    with build(module, copies=copies) as result:
        unpack(result.image, tmp_path / "bundle")
    executable, directory = ("file", 0o755, b"#!"), ("dir", 0o755)
    assert tree(tmp_path / "bundle" / "rootfs") == {
        "d": directory,
        "d/deep": directory,
        "d/deep/run": executable,
        "d/link": ("symlink", "/etc/passwd"),
        "e": directory,
        "e/run": executable,
        "hello.wasm": ("file", 0o644, WASM),
        "run": executable,
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (WASM, {"os": "wasip1"}),
        (COMPONENT, {"os": "wasip2", "component": {"imports": [], "exports": []}}),
    ],
)
def test_artifact(module: Path, content: bytes, expected: dict[str, Any]) -> None:
    """An artifact has the module as its only layer, and a config of the CNCF's form."""
    module.write_bytes(content)
    with build_artifact(module, annotations={"n": "1"}) as result:
        manifest, config = result.image.manifest, dict(result.image.config.raw)
    (layer,) = manifest.layers
    assert (manifest.config.media_type, layer.media_type) == ("application/vnd.wasm.config.v0+json", "application/wasm")
    assert (dict(manifest.annotations), layer.size) == ({"n": "1"}, len(content))
    assert config == {
        "architecture": "wasm",
        "created": "1970-01-01T00:00:00Z",
        "layerDigests": [layer.digest],
        **expected,
    }


@pytest.mark.parametrize(
    ("prepare", "options", "kind", "words"),
    [
        (lambda m: m.write_bytes(b"\x7fELF" + bytes(20)), {}, InvalidModule, "hello.wasm"),
        (lambda m: m.write_bytes(WASM + b"\1\5\0"), {}, InvalidModule, "hello.wasm"),
        (lambda _: None, {"variant": "wrong"}, ImageError, "variant"),
        (lambda _: None, {"compression": "xz"}, ImageError, "compression"),
        (lambda _: None, {"workdir": "relative"}, ImageError, "absolute"),
        (lambda _: None, {"destination": "relative"}, ImageError, "absolute guest path"),
        (lambda _: None, {"destination": "/../x"}, ImageError, "'..'"),
        (lambda m: os.mkfifo(m.parent / "p"), {"copies": "p"}, ImageError, "neither a file"),
        (lambda _: None, {"copies": "missing"}, ImageError, "No such file"),
    ],
)
def test_refusals(
    module: Path, prepare: Callable[[Path], object], options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    """What can't become an image is refused, and says why."""
    prepare(module)
    if "copies" in options:
        options = {"copies": (Copy(module.parent / options["copies"], "/x"),)}
    with pytest.raises(kind, match=words), build(module, **options):
        pass


def test_text_is_no_artifact(module: Path) -> None:
    """A module in the text format is refused as an artifact, which is binary by its media type."""
    module.write_text("(module)")
    with pytest.raises(ImageError, match="text format"), build_artifact(module):
        pass


@pytest.mark.parametrize("value", ["soon", "-1", "99999999999"])
def test_bad_source_date(module: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid SOURCE_DATE_EPOCH is an error, not another image."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(ImageError, match="SOURCE_DATE_EPOCH"), build(module):
        pass


def test_files_are_readable(module: Path, tmp_path: Path) -> None:
    """A layout that is written is readable by others, as far as the umask lets them."""
    with build(module) as result:
        push(result.image, parse_target(f"oci:{tmp_path / 'layout'}"))
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o444 for path in (tmp_path / "layout").rglob("*") if path.is_file()}
    assert modes == {0o444}
    assert len(json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"]) == 1
