"""What comes from a registry has an end: each answer, each blob, the whole; in bytes, in number and in time."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.fake_registry import FakeRegistry, Flood, serve
from tests.image.making import OCI_INDEX, OCI_MANIFEST, digest, make_layout, member, tar
from tests.image.registries import ME, get, options
from wasmoci.cli import main
from wasmoci.errors import ImageError, ImageLimitExceeded, InvalidImage, RegistryError
from wasmoci.image import Store, TransferLimits, UnpackLimits, open_image, parse_target, pull, push, unpack
from wasmoci.image.storage.staging import locked

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

TAKEN = 40 << 20
"""Bytes of an endless answer that may be gone before it is given up: what is allowed, and what the kernel holds."""


pytestmark = pytest.mark.usefixtures("registry_client")


def change(registry: FakeRegistry, **members: Any) -> None:
    """Change the manifest of the image."""
    kind, data = registry.manifests["1"]
    registry.manifests["1"] = (kind, json.dumps({**json.loads(data), **members}).encode())


def layers_of(registry: FakeRegistry) -> list[dict[str, Any]]:
    """The layers of the image."""
    layers: list[dict[str, Any]] = json.loads(registry.manifests["1"][1])["layers"]
    return layers


# What a manifest announces.


@pytest.mark.parametrize("size", [(16 << 30) + 1, 1 << 40, (1 << 63) - 1])
def test_a_large_descriptor(registry: FakeRegistry, size: int) -> None:
    """A blob that is announced to be larger than the limit isn't asked for."""
    layer = {**layers_of(registry)[0], "size": size}
    change(registry, layers=[layer])
    with pytest.raises(ImageLimitExceeded, match=f"has {size} bytes; the limit is") as caught:
        get(registry)
    assert "--limit blob=" in str(caught.value.hint)
    assert not any(layer["digest"] in path for _, path, _, _ in registry.seen)
    assert Store().images() == ()


@pytest.mark.parametrize("size", [1 << 63, 10**400, -1, 1.5, True, "1", None])
def test_sizes_that_are_none(registry: FakeRegistry, size: Any) -> None:
    """A size that no file has is wrong."""
    change(registry, layers=[{**layers_of(registry)[0], "size": size}])
    with pytest.raises(InvalidImage, match=r"\$.layers\[0\]"):
        get(registry)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"blob": 299_999}, "the limit is 299999"),
        ({"pull": 300_500}, "in all; the limit is 300500"),
        ({"documents": 100}, "more than 100 bytes"),
    ],
)
def test_limits(registry: FakeRegistry, limits: dict[str, Any], words: str) -> None:
    """Each limit is compared before anything large is asked for, and its error says how to raise it."""
    (name,) = limits
    with pytest.raises(ImageLimitExceeded, match=words) as caught:
        get(registry, limits=TransferLimits(**limits))
    assert f"--limit {name}=" in str(caught.value.hint)
    get(registry, limits=TransferLimits(**{name: 1 << 20}))


def test_many_layers(registry: FakeRegistry) -> None:
    """An image with more layers than the limit isn't fetched, however small they are."""
    change(registry, layers=layers_of(registry) * 501)
    with pytest.raises(ImageLimitExceeded, match="501 layers; the limit is 500"):
        get(registry)
    assert len(registry.requests("blobs")) == 1  # the config
    with pytest.raises(InvalidImage, match="501 layers"):  # and the config has one
        get(registry, limits=TransferLimits(layers=501))


def test_many_layers_of_an_archive(tmp_path: Path) -> None:
    """So isn't one unpacked, wherever it comes from."""
    layout = make_layout(tmp_path / "many", *(tar(member(f"f{number}")) for number in range(4)))
    with open_image(f"oci:{layout}") as image:
        with pytest.raises(ImageLimitExceeded, match="4 layers; the limit is 3"):
            unpack(image, tmp_path / "bundle", limits=UnpackLimits(layers=3))
        assert not (tmp_path / "bundle").exists()
        unpack(image, tmp_path / "bundle", limits=UnpackLimits(layers=4))


def test_foreign_layers(registry: FakeRegistry, layout: Path) -> None:
    """A layer is asked of the registry, wherever its descriptor says that it is, and has the same limits."""
    with serve(FakeRegistry()) as other:
        other.add(layout, "1")
        (layer,) = layers_of(registry)
        foreign = {
            **layer,
            "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "urls": [f"{other.address}/v2/me/image/blobs/{layer['digest']}", "file:///etc/passwd"],
        }
        change(registry, layers=[{**foreign, "size": 1 << 40}])
        with pytest.raises(ImageLimitExceeded, match="the limit is"):
            get(registry)
        change(registry, layers=[foreign])
        get(registry)
        assert other.seen == []


@pytest.mark.parametrize("way", ["deep", "wide", "unsaid"])
def test_indexes_without_end(registry: FakeRegistry, way: str) -> None:
    """An index of indexes, or of images that don't say what they are for, is read up to a number and a size."""
    if way == "unsaid":  # each manifest would have to be fetched
        blobs = [b" " * (1 << 20) + b'{"schemaVersion": 2, "n": %d}' % number for number in range(100)]
        entries = [{"mediaType": OCI_MANIFEST, "digest": digest(blob), "size": len(blob)} for blob in blobs]
        registry.manifests |= {digest(blob): (OCI_MANIFEST, blob) for blob in blobs}
        wrong: tuple[type[ImageError], str] = (InvalidImage, "'config' is missing")
    else:
        entries = []
        for number in range(3 if way == "wide" else 8):
            inner = entries * (900 if way == "wide" else 1)
            data = json.dumps({"schemaVersion": 2, "n": number, "manifests": inner}).encode()
            registry.manifests[digest(data)] = (OCI_INDEX, data)
            entries = [{"mediaType": OCI_INDEX, "digest": digest(data), "size": len(data)}]
        wrong = (InvalidImage, "more than")
    data = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    registry.manifests["1"] = (OCI_INDEX, data)
    with pytest.raises(wrong[0], match=wrong[1]):
        get(registry)
    assert len(registry.seen) < 20


def test_documents_without_end(registry: FakeRegistry, layout: Path) -> None:
    """The documents that are read to choose an image have an end together."""
    config = json.loads(registry.manifests["1"][1])["config"]
    entries = []
    for number in range(12):
        blob = json.dumps(
            {"schemaVersion": 2, "config": config, "layers": [], "n": number, "x": " " * (7 << 20)}
        ).encode()
        registry.manifests[digest(blob)] = (OCI_MANIFEST, blob)
        entries.append({"mediaType": OCI_MANIFEST, "digest": digest(blob), "size": len(blob)})
    registry.manifests["1"] = (OCI_INDEX, json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
    with pytest.raises(ImageLimitExceeded, match="manifests, indexes and configs have more than"):
        pull(f"{registry.host}/me/image:1", platform="plan9/mips", registry=options())
    assert len(registry.requests("manifests")) < 12


def test_no_room(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file system has no room for isn't begun."""
    found = os.statvfs("/")
    shape = SimpleNamespace(f_bavail=200_000 // found.f_frsize, f_frsize=found.f_frsize)
    monkeypatch.setattr("wasmoci.image.registries.transfer_limits.os.statvfs", lambda _: shape)
    with pytest.raises(ImageError, match=r"are to come, and .* are free"):
        get(registry)
    assert len(registry.requests("blobs")) == 1


def test_an_archive_has_the_same_limits(layout: Path) -> None:
    """What is imported into the store is bounded as what is pulled."""
    with pytest.raises(ImageLimitExceeded, match="the limit is 1000"):
        pull(f"oci:{layout}", name="x", registry=options(limits=TransferLimits(blob=1000)))
    pull(f"oci:{layout}", name="x")


def test_limits_at_the_command_line(registry: FakeRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """The command has an option for each."""
    words = ["pull", "--plain-http", "--retries=0", f"{registry.host}/me/image:1"]
    assert main([*words, "--limit", "blob=100k"]) == 125
    assert "the limit is 100000" in capsys.readouterr().err
    for wrong in ("blob=0", "layers=x", "colour=1", "time=-1"):
        assert main([*words, "--limit", wrong]) == 125
    every = ["blob=1Gi", "pull=2Gi", "documents=1Mi", "layers=10", "redirects=2", "rate=1k", "time=60", "size=1Gi"]
    assert main([*words, *(f"--limit={one}" for one in every)]) == 0


# Answers that don't end.

OCTETS = b"Content-Type: application/octet-stream\r\n"
PLAIN = OCTETS + b"\r\n"
CHUNKED = OCTETS + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = OCTETS + b"Content-Length: 1099511627776\r\n\r\n"
MIB = b"x" * (1 << 20)
CHUNK = b"100000\r\n" + MIB + b"\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" * 1000
ENDLESS = {
    "body": Flood(PLAIN, MIB),
    "chunks": Flood(CHUNKED, CHUNK),
    "small chunks": Flood(CHUNKED, (b"1;" + b"e" * 4000 + b"\r\nx\r\n") * 100),
    "announced": Flood(LONG, MIB),
    "headers": Flood(b"", b"X-A: " + b"a" * 60_000 + b"\r\n"),
    "a header": Flood(b"X-A: ", MIB),
    "short headers": Flood(b"", b"A: b\r\n" * 1000),
    "a status": Flood(b"", INTERIM, status="100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n"),
    "trailers": Flood(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-A: b\r\n" * 1000),
}


@pytest.mark.parametrize("way", ENDLESS)
@pytest.mark.parametrize("kind", ["manifests", "blobs", "token", "uploads", "upload"])
def test_answers_without_end(registry: FakeRegistry, layout: Path, kind: str, way: str) -> None:
    """An answer without end is given up when it is longer than it can be, whatever of it has no end."""
    registry.floods = {kind: ENDLESS[way]}
    registry.auth = "bearer" if kind == "token" else ""
    if kind.startswith("upload"):
        registry.blobs.clear()
        with open_image(f"oci:{layout}") as image:
            target = parse_target(f"docker://{registry.host}/me/new:2")
            if kind == "upload" and way in ("body", "chunks", "small chunks", "announced", "trailers"):
                push(image, target, options=options(parallel=1))  # the status says enough
            else:
                with pytest.raises(ImageError):
                    push(image, target, options=options(parallel=1))
    else:
        with pytest.raises(ImageError):
            get(registry, credential=ME, parallel=1)
    assert registry.sent < TAKEN


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "307 Temporary Redirect", "500 Oops"])
@pytest.mark.parametrize("kind", ["manifests", "blobs", "token"])
@pytest.mark.parametrize("form", [PLAIN, CHUNKED, LONG])
def test_errors_without_end(registry: FakeRegistry, kind: str, status: str, form: bytes) -> None:
    """Of an answer that only says why not, a little is read."""
    head = b"Location: /x\r\nWWW-Authenticate: Basic realm=x\r\n" + form
    registry.floods = {kind: Flood(head, CHUNK if form == CHUNKED else MIB, status=status)}
    registry.auth = "bearer" if kind == "token" else ""
    with pytest.raises(RegistryError):
        get(registry, credential=ME, parallel=1)
    assert registry.sent < TAKEN


def test_a_text_without_end_is_cut(registry: FakeRegistry) -> None:
    """What a registry says about an error is shown in part."""
    said = json.dumps({"errors": [{"code": "DENIED", "message": "no " * 10_000}]}).encode()
    head = b"Content-Length: %d\r\n\r\n" % len(said)
    registry.floods = {"manifests": Flood(head, said, status="403 Forbidden", most=1)}
    with pytest.raises(RegistryError, match="DENIED: no no") as caught:
        get(registry)
    assert len(caught.value.message) < 700


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"errors": [1, null, {}]}', b'{"errors": 5}', b"\xff", b"{}"])
@pytest.mark.parametrize("kind", ["manifests", "token"])
def test_bodies_that_say_nothing(registry: FakeRegistry, kind: str, text: bytes) -> None:
    """A body that is no explanation, or no token, is passed over."""
    registry.auth = "bearer" if kind == "token" else ""
    for status in ("403 Forbidden", "200 OK"):
        head = b"Content-Length: %d\r\n\r\n" % len(text)
        registry.floods = {kind: Flood(head, text, status=status, most=1)}
        with pytest.raises(ImageError):
            get(registry, credential=ME)


# Servers that take their time.

DRIPS = {
    "a status": Flood(b"", b"", status="200 O"),
    "headers": Flood(b"X-A: ", b"a", 0.1),
    "body": Flood(b"Content-Length: 300544\r\n\r\n", b"a", 0.1),
    "chunks": Flood(CHUNKED, b"1\r\nx\r\n", 0.1),
    "trailers": Flood(CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n", 0.1),
}


@pytest.mark.parametrize("way", DRIPS)
@pytest.mark.parametrize("kind", ["manifests", "layer"])
def test_slow_servers(registry: FakeRegistry, kind: str, way: str) -> None:
    """A server that sends a byte now and then is no better than one that sends none."""
    registry.floods = {layers_of(registry)[0]["digest"] if kind == "layer" else kind: DRIPS[way]}
    with pytest.raises(ImageError, match=r"slow|broke"):
        get(registry, timeout=1)


@pytest.mark.parametrize("kind", ["manifests", "layer"])
def test_the_whole_has_a_time(registry: FakeRegistry, kind: str) -> None:
    """A server that is just fast enough doesn't go on for ever."""
    registry.floods = {layers_of(registry)[0]["digest"] if kind == "layer" else kind: DRIPS["body"]}
    with pytest.raises(ImageLimitExceeded, match="took more than 1 seconds") as caught:
        get(registry, limits=TransferLimits(rate=1, time=1))
    assert "--limit time=" in str(caught.value.hint)


def test_another_pull_that_takes_its_time(registry: FakeRegistry) -> None:
    """Who waits for somebody else's pull of the same blob, from whichever registry, waits no longer than for an own one."""
    digest = layers_of(registry)[0]["digest"]
    store = Store()
    with locked(store.path / "partial" / f".partial-{digest.replace(':', '-')}"):
        with pytest.raises(ImageLimitExceeded, match="took more than 1 seconds"):
            get(registry, limits=TransferLimits(time=1))
        assert not any(digest in path for _, path, _, _ in registry.seen)
    get(registry)


def test_failures_that_never_pass_have_a_time(registry: FakeRegistry) -> None:
    """Trying again doesn't go on for ever either, whatever a registry asks to wait."""
    registry.fail, registry.retry_after = 1000, "1000"
    with pytest.raises(ImageLimitExceeded, match="took more than 1 seconds"):
        get(registry, retries=100, limits=TransferLimits(time=1))


@pytest.mark.parametrize("wait", ["\u00b2", "9" * 400, "-1", "soon", "1e9"])
def test_times_to_wait_that_are_none(registry: FakeRegistry, wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time to wait that is none is passed over, and none is longer than half a minute."""
    waited: list[float] = []
    monkeypatch.setattr("wasmoci.image.registries.client.time.sleep", waited.append)
    registry.fail, registry.retry_after = 1, wait
    get(registry, retries=1)
    assert max(waited) <= 30


# Redirections.


def test_redirections_without_end(registry: FakeRegistry) -> None:
    """Redirections are followed up to a number."""
    registry.redirects = {"manifests": f"{registry.address}{{path}}"}
    with pytest.raises(RegistryError, match="more than 5 redirections"):
        get(registry)
    assert len(registry.seen) == 6
    with pytest.raises(RegistryError, match="more than 1 redirections"):
        get(registry, limits=TransferLimits(redirects=1))
