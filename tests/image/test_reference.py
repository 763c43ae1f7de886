"""References: the notation of containers/image, names, and paths recognised by what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.image.making import WASM, make_layout, member, tar
from wasmoci.errors import InvalidReference
from wasmoci.image import Name, Reference, looks_like_image, parse_name, parse_reference, parse_target
from wasmoci.image.content.reference import local_name

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oci:dir", Reference("oci", "dir")),
        ("oci:dir:v1", Reference("oci", "dir", "v1")),
        ("oci:/a/dir:example.com/x:v1", Reference("oci", "/a/dir", "example.com/x:v1")),
        ("oci-archive:a.tar:v1", Reference("oci-archive", "a.tar", "v1")),
        ("docker-archive:a.tar:x:v1", Reference("docker-archive", "a.tar", "x:v1")),
        ("docker-archive:a.tar:@0", Reference("docker-archive", "a.tar", "@0")),
        ("docker://h.io/alpine", Reference("docker", "h.io/alpine:latest")),
        ("docker://h:5000/x/y:v1", Reference("docker", "h:5000/x/y:v1")),
        (f"docker://h.io/x@{DIGEST}", Reference("docker", f"h.io/x@{DIGEST}")),
        ("containers-storage:localhost/x:1", Reference("containers-storage", "localhost/x:1")),
        ("alpine:3", Reference("store", "alpine:3")),
        ("localhost/x", Reference("store", "localhost/x")),
    ],
)
def test_references(text: str, expected: Reference) -> None:
    """Each form is read into the transport, the place and the selector."""
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no image"),
        ("oci:", "expected a path"),
        ("docker:x", "expected docker://"),
        ("docker://", "not a repository"),
        ("docker://X", "not a repository"),
        ("docker://alpine", "names no registry"),
        ("docker://some/name", "names no registry"),
        ("docker://h.io/x:", "not a tag"),
        ("docker://h.io/x:v 1", "not a tag"),
        ("docker://h.io/x@sha256:1", "not a digest"),
        ("docker://h..io/x", "not a registry's host"),
        ("docker://h.io/../x", "not a repository"),
        ("docker://h.io/x/", "not a repository"),
        ("containers-storage:", "expected a name"),
        ("./missing", "nothing of this name"),
        ("/", "neither an image layout nor an archive"),
        ("docker-daemon:x:", "not a repository|not a registry|not a tag"),
        ("a\0b", "not a repository"),
    ],
)
def test_bad_references(text: str, words: str) -> None:
    """What is no reference is refused with the part that is wrong."""
    with pytest.raises(InvalidReference, match=words):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost/b", Name("localhost", "b", "latest")),
        ("localhost:5000/b", Name("localhost:5000", "b", "latest")),
        (f"h.io/b:1@{DIGEST}", Name("h.io", "b", "1", DIGEST)),
        ("[::1]:5000/b", Name("[::1]:5000", "b", "latest")),
    ],
)
def test_names(text: str, expected: Name) -> None:
    """Names are completed by the tag, and print as what they mean."""
    assert parse_name(text) == expected
    assert parse_name(str(expected)) == expected


def test_short_names_in_the_store() -> None:
    """A name without a registry is a local one; a full one is itself."""
    assert str(local_name("x")) == "localhost/x:latest"
    assert str(local_name("some/x:1")) == "localhost/some/x:1"
    assert str(local_name("h.io/x:1")) == "h.io/x:1"


def test_targets() -> None:
    """What is to be written needn't be there; a path alone doesn't say what to write."""
    assert parse_target("h.io/x") == Reference("docker", "h.io/x:latest")
    assert parse_target("oci:new") == Reference("oci", "new")
    with pytest.raises(InvalidReference):
        parse_target("./new")


def test_recognition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is an image by what it holds: a layout or an archive is one, a bundle or a module isn't."""
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    layout = make_layout(tmp_path / "layout", tar(member("a")))
    bundle = make_layout(tmp_path / "bundle", tar(member("a")))
    (bundle / "config.json").write_text("{}")
    files = {
        "module.wasm": WASM,
        "plain.tar": tar(member("a")),
        "oci.tar": tar(member("oci-layout"), member("index.json")),
        "docker.tar": tar(member("x/layer.tar"), member("manifest.json")),
        "both.tar": tar(member("manifest.json"), member("oci-layout")),
        "cut.tar": tar(member("x", data=b"x" * 5000), member("manifest.json"))[:3000],
        "empty": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = {name: looks_like_image(str(tmp_path / name)) for name in (*files, "layout", "bundle", "missing", ".")}
    assert {name for name, image in found.items() if image} == {"oci.tar", "docker.tar", "both.tar", "layout"}
    assert parse_reference(str(tmp_path / "both.tar")).transport == "oci-archive"
    assert parse_reference(str(layout)) == Reference("oci", str(layout))
    assert not looks_like_image("some/name")
    assert looks_like_image("docker://h.io/some/name")
    assert not (tmp_path / "store").exists()
