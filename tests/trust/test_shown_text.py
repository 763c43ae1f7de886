"""What a registry, an image or a guest says is shown so that it can't pass for a line of ours, nor move or turn anything on a terminal."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.fake_registry import FakeRegistry, Flood, serve
from tests.image.making import (
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
)
from tests.support.requirements import require
from wasmoci.cli import main
from wasmoci.cli.output import complain, say, table, tell
from wasmoci.errors import ImageError, NoSuitableEngine, WasmociError
from wasmoci.image import Store, pull
from wasmoci.isolation import messages
from wasmoci.runtime.command_line import Invocation
from wasmoci.runtime.error_report import report
from wasmoci.text import log
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.heavy

EVIL = "a\nFORGED\r\nFORGED\x0bFORGED\x85FORGED\u2028FORGED\x1b[31m\x9b2J\x07\x08\x7f\u202etxt\u2066\u200f\ufeffz"
"""Line breaks of each kind, sequences that a terminal obeys, and characters that turn or hide what is read."""
SHORT = EVIL[:42]


def section(number: int, *parts: bytes) -> bytes:
    """A section of a module."""
    body = b"".join(parts)
    return bytes((number, len(body))) + body


def name(text: str) -> bytes:
    """A name in a module."""
    return bytes((len(text.encode()),)) + text.encode()


TYPE = section(1, b"\1\x60\0\0")
EXPORT = section(7, b"\1", name("_start"), b"\0\0")
MODULE = WASM + TYPE + section(3, b"\1\0") + EXPORT + section(10, b"\1\2\0\x0b")
"""A module that returns at once."""
IMPORTING = WASM + TYPE + section(2, b"\1", name(SHORT), name(SHORT), b"\0\0") + EXPORT
"""A module that imports its entry function."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def check(shown: str) -> str:
    """Check what was shown; return it."""
    assert all(character.isprintable() or character in "\t\n" for character in shown), ascii(shown)
    assert [line for line in shown.splitlines() if line.lstrip().startswith("FORGED")] == []
    return shown


def command(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Run the command; return its status and all that it printed, once that is checked."""
    capsys.readouterr()
    status = main([str(word) for word in words])
    printed = capsys.readouterr()
    check(printed.out)
    return status, check(printed.err) + printed.out


# Images.


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An image with such text wherever it may have one."""
    config = {
        "Cmd": ["/hello.wasm", EVIL],
        "Env": [f"{EVIL}=x", "A=" + EVIL],
        "Labels": {EVIL: EVIL, "org.opencontainers.image.title": EVIL},
        "StopSignal": EVIL,
        "ExposedPorts": {EVIL: {}},
    }
    inner = tmp_path / "layout"
    layer = tar(member("hello.wasm", data=MODULE), member("dev\n" + EVIL, "fifo"))
    descriptor = put_image(inner, [layer], config=config, target=("wasi", "wasm"), annotations={EVIL: EVIL})
    manifest = json.loads((inner / "blobs/sha256" / descriptor["digest"][7:]).read_bytes())
    raw = json.loads((inner / "blobs/sha256" / manifest["config"]["digest"][7:]).read_bytes())
    raw |= {"author": EVIL, "created": EVIL, "history": [{"created_by": EVIL, "comment": EVIL}], "os.version": EVIL}
    raw["variant"] = EVIL
    manifest["config"] = put_json(inner, raw, OCI_CONFIG)
    descriptor = put_json(inner, manifest, OCI_MANIFEST)
    return finish(inner, descriptor | {"annotations": {"org.opencontainers.image.ref.name": "v1"}})


def test_an_image_that_is_shown(layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever shows an image shows its text escaped: labels, annotations, authors, history, names."""
    assert command(capsys, "pull", "--tag", "x", f"oci:{layout}:v1")[0] == 0
    assert "FORGED" in command(capsys, "images")[1]
    for words in (["images", "--json"], ["inspect", "x"], ["inspect", f"oci:{layout}"], ["explain", "x"]):
        status, text = command(capsys, *words)
        assert status == 0, text
        assert "FORGED" in text
    assert "1 devices and FIFOs" in command(capsys, "unpack", "x", tmp_path / "bundle")[1]
    for words in (["explain", tmp_path / "bundle"], ["explain", "--json", "x"]):
        assert "FORGED" in command(capsys, *words)[1]
    command(capsys, "run", "x")
    command(capsys, "rm", "x")


def test_a_module_that_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So is what a module calls its imports."""
    layout = make_layout(tmp_path / "layout", tar(member("hello.wasm", data=IMPORTING)), target=("wasi", "wasm"))
    assert "FORGED" in command(capsys, "explain", f"oci:{layout}")[1]
    command(capsys, "run", f"oci:{layout}")


DEFECTS: dict[str, dict[str, Any]] = {
    "program": {"config": {"Cmd": [EVIL]}},
    "no program": {"config": {"Cmd": ["/hello.wasm#" + EVIL]}},
    "user": {"config": {"Cmd": ["/hello.wasm"], "User": EVIL}},
    "directory": {"config": {"Cmd": ["/hello.wasm"], "WorkingDir": EVIL}},
    "variable": {"config": {"Cmd": ["/hello.wasm"], "Env": [EVIL]}},
    "handler": {"annotations": {"run.oci.handler": EVIL}},
    "variant": {"annotations": {"module.wasm.image/variant": EVIL}},
    "platform": {"target": (EVIL, EVIL)},
}


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("what", ["run", "explain", "inspect", "unpack"])
def test_an_image_with_a_defect(defect: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with an image is told in one line, and quotes it escaped."""
    layout = make_layout(tmp_path / "layout", tar(member("hello.wasm", data=WASM)), **DEFECTS[defect])
    command(capsys, what, f"oci:{layout}", *([tmp_path / "bundle"] if what == "unpack" else []))


ENTRIES = {
    "name": member(f"../{EVIL}"),
    "link": member("x", "link", link=EVIL),
    "link out": member("x", "link", link="../" + EVIL),
    "whiteout": member(".wh...", data=EVIL.encode()),
    "beneath a file": member(f"hello.wasm/{EVIL}"),
    "device": member(EVIL, "char"),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_layers(entry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So is what a layer has for names."""
    layout = make_layout(tmp_path / "layout", tar(member("hello.wasm", data=WASM), ENTRIES[entry]))
    command(capsys, "unpack", f"oci:{layout}", tmp_path / "bundle")


def test_layouts_and_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So is what a layout or an archive has for names, media types and digests."""
    name = "org.opencontainers.image.ref.name"
    layer = tar(member("hello.wasm", data=WASM))
    two = finish(
        tmp_path / "two",
        *(
            put_image(tmp_path / "two", [layer], target=("os", EVIL)) | {"annotations": {name: EVIL + str(number)}}
            for number in range(2)
        ),
    )
    index = put_json(
        tmp_path / "index",
        {
            "schemaVersion": 2,
            "manifests": [put_image(tmp_path / "index", [layer], platform={"os": EVIL, "architecture": EVIL})] * 2,
        },
        OCI_INDEX,
    )
    kind = finish(tmp_path / "kind", put(tmp_path / "kind", b"{}", EVIL))
    wrong = finish(tmp_path / "wrong", {"mediaType": OCI_MANIFEST, "digest": EVIL, "size": 1})
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "oci-layout").write_text(json.dumps({"imageLayoutVersion": EVIL}))
    archive = tmp_path / "docker.tar"
    with tarfile.open(archive, "w") as out:
        manifest = json.dumps(
            [{"RepoTags": [EVIL + str(number)], "Config": EVIL, "Layers": [EVIL]} for number in range(2)]
        ).encode()
        header = tarfile.TarInfo("manifest.json")
        header.size = len(manifest)
        out.addfile(header, io.BytesIO(manifest))
    for reference in (
        f"oci:{two}",
        f"oci:{two}:x",
        f"oci:{finish(tmp_path / 'index', index)}",
        f"oci:{kind}",
        f"oci:{wrong}",
        f"oci:{tmp_path / 'json'}",
        f"docker-archive:{archive}",
        f"docker-archive:{archive}:x",
        f"docker-archive:{archive}:@0",
    ):
        status, text = command(capsys, "inspect", reference)
        assert status == 125
        assert "FORGED" in text or "holds no image" in text


def test_names_in_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So are names that somebody else's tool has put into the store."""
    layout = make_layout(tmp_path / "layout", tar(member("hello.wasm", data=WASM)))
    pull(f"oci:{layout}", name="x")
    index = Store().path / "images" / "index.json"
    document = json.loads(index.read_text())
    document["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": EVIL}
    document["manifests"][0]["platform"] = {"os": EVIL, "architecture": EVIL}
    index.write_text(json.dumps(document))
    assert "FORGED" in command(capsys, "images")[1]
    short = document["manifests"][0]["digest"][7:30]
    assert "FORGED" in command(capsys, "rm", short)[1]


# Registries.


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FakeRegistry]:
    """A registry that has an image as ``me/image:1``."""
    require(importlib.util.find_spec("urllib3"), "urllib3 is missing: pip install 'wasmoci[image]'")
    with serve(FakeRegistry()) as found:
        found.add(make_layout(tmp_path / "layout", tar(member("hello.wasm", data=WASM))), "1")
        yield found


RAW = EVIL.encode()
HEADER = RAW.replace(b"\r\n", b"").replace(b"\n", b"")
SAID = json.dumps({"errors": [{"code": EVIL, "message": EVIL}, {"message": {EVIL: EVIL}}]}).encode()
ANSWERS = {
    "an error": Flood(b"Content-Length: %d\r\n\r\n" % len(SAID), SAID, status="403 Forbidden", most=1),
    "a status": Flood(b"\r\n", b"x", status="403 " + HEADER.decode("latin-1"), most=1),
    "no status": Flood(b"\r\n", b"x", status=HEADER.decode("latin-1"), most=1),
    "a challenge": Flood(b"WWW-Authenticate: " + HEADER + b"\r\n\r\n", b"x", status="401 No", most=1),
    "a realm": Flood(b'WWW-Authenticate: Bearer realm="' + HEADER + b'"\r\n\r\n', b"x", status="401 No", most=1),
    "a scheme": Flood(b'WWW-Authenticate: Bearer realm="http://HOST/\x1b[m"\r\n\r\n', b"x", status="401 No", most=1),
    "a place": Flood(b"Location: " + HEADER + b"\r\n\r\n", b"x", status="307 There", most=1),
    "a digest": Flood(b"Docker-Content-Digest: " + HEADER + b"\r\nContent-Length: 2\r\n\r\n", b"{}", most=1),
    "a type": Flood(b"Content-Type: " + HEADER + b"\r\nContent-Length: 21\r\n\r\n", b'{"schemaVersion": 2} ', most=1),
    "a length": Flood(b"Content-Length: " + HEADER + b"\r\n\r\n", b"{}", most=1),
    "a coding": Flood(b"Transfer-Encoding: chunked\r\n\r\n" + HEADER + b"\r\n", b"{}", most=1),
    "a header": Flood(HEADER + b"\r\n" + RAW + b"\r\n\r\n", b"{}", most=1),
    "no JSON": Flood(b"Content-Length: %d\r\n\r\n" % len(RAW), RAW, most=1),
}


@pytest.mark.parametrize("way", ANSWERS)
def test_registries(registry: FakeRegistry, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a registry answers, and in whichever part of the answer, is told in one line and quoted escaped."""
    registry.floods = {"manifests": ANSWERS[way]}
    status, text = command(capsys, "pull", "--plain-http", "--retries=0", f"{registry.host}/me/image:1")
    assert status == 125
    assert text.startswith("wasmoci: error: ")
    assert "Traceback" not in text
    assert len(text.splitlines()) <= 2


def test_manifests_of_registries(registry: FakeRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """So is what its documents say."""
    for document in (
        {"schemaVersion": EVIL},
        {"schemaVersion": 2, "mediaType": EVIL, "layers": []},
        {"schemaVersion": 2, "config": {"mediaType": EVIL, "digest": EVIL, "size": 1}, "layers": []},
        {"schemaVersion": 2, "config": {"mediaType": EVIL, "digest": digest(b""), "size": EVIL}, "layers": []},
        {"schemaVersion": 2, EVIL: EVIL, "config": {EVIL: EVIL}, "layers": {EVIL: EVIL}},
        {"schemaVersion": 2, "layers": [], "annotations": {EVIL: 1}, "config": {"digest": digest(b""), "size": 1}},
    ):
        registry.manifests["1"] = (OCI_MANIFEST, json.dumps(document).encode())
        assert command(capsys, "pull", "--plain-http", "--retries=0", f"{registry.host}/me/image:1")[0] == 125


# What shows them.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("gr\u00fc\u00df \u4e16\u754c \U0001f600", "gr\u00fc\u00df \u4e16\u754c \U0001f600"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x1b[0m\x7f\x9b", "\\x1b[0m\\x7f\\x9b"),
        ("\u202e\u2066\u2028\u2029\u200b\ufeff", "\\u202e\\u2066\\u2028\\u2029\\u200b\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
        ('it\'s "so" \\n', 'it\'s "so" \\n'),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    """What isn't printable is escaped as ``repr`` does, and nothing else is changed."""
    assert one_line(text) == shown


@pytest.mark.parametrize("kind", [WasmociError, ImageError])
def test_errors(kind: type[WasmociError]) -> None:
    """An error's message and its hint are one line each, whoever raises it with whatever text."""
    error = kind(EVIL, hint=EVIL)
    for text in (error.message, error.hint, error.args[0]):
        assert str(text).isprintable()
    assert len(str(error).splitlines()) == 2


@pytest.mark.parametrize("kind", ["ImageError", "InvalidModule", "EngineCrashed", "NoSuchClass", "GuestFailed"])
def test_errors_of_workers(kind: str) -> None:
    """So is what a worker process says, which its guest may have taken over; it doesn't decide about an exit status either."""
    state = {
        "message": EVIL.replace("\n", ""),
        "hint": EVIL,
        "exit_status": 0,
        "_keeps": "\x1b",
        "with_traceback": 1,
        "source": "x",
    }
    error = messages.error_of({"class": kind, "args": [EVIL.replace("\n", ""), EVIL], "state": state})
    check(error.message)
    assert str(error.hint).isprintable()
    assert error.exit_status == type(error).exit_status != 0
    assert callable(error.with_traceback)


def test_an_error_of_several_lines() -> None:
    """The one error that has a line for each engine keeps its own line breaks, and no other character."""
    assert check(NoSuitableEngine("none:\n  x: y\x1b", hint=EVIL).message) == "none:\n  x: y\\x1b"


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each function that prints does so."""
    say(EVIL)
    tell(EVIL)
    complain(one_line(EVIL), one_line(EVIL))
    printed = capsys.readouterr()
    assert len(check(printed.out).splitlines()) == 1
    assert len(check(printed.err).splitlines()) == 3
    check(table([("A", "B"), (EVIL, EVIL)]))


def test_warnings(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does a warning, in the log as well."""
    monkeypatch.setattr(log, "_listeners", [])
    with caplog.at_level(logging.WARNING):
        log.warn("wasmoci.test", EVIL)
    assert caplog.messages[0].isprintable()


@pytest.mark.parametrize("error", [ImageError(EVIL), OSError(5, EVIL, EVIL), ValueError(EVIL)])
def test_the_runtime(error: Exception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So does the OCI runtime, on the standard error and in its log."""
    for form in ("json", "text"):
        log = tmp_path / form
        report(error, Invocation(["wasmoci-runtime", "--log", str(log), "--log-format", form, "create", "x"]))
        assert len(check(log.read_text()).splitlines()) == 1
    check(capsys.readouterr().err)
