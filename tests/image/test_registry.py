"""Pulling and pushing: cut answers, failures that pass, authentication, mirrors, and registries that lie."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.children import in_child
from tests.image.fake_registry import FakeRegistry, serve
from tests.image.making import OCI_INDEX, digest, finish, member, put_image, put_json, tar
from tests.image.registries import NOISE, get, options
from wasmoci.errors import ImageError, InvalidImage, RegistryDenied, RegistryError
from wasmoci.image import Credential, RegistryOptions, Store, as_bundle, open_image, parse_target, pull, push

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("registry_client", "no_pauses")


def test_pull(registry: FakeRegistry) -> None:
    """An image arrives whole, under its name, and isn't fetched a second time."""
    found = get(registry)
    assert Store().find(f"{registry.host}/me/image:1").descriptor.digest == found
    with as_bundle(f"{registry.host}/me/image:1") as bundle:
        assert (bundle.rootfs / "noise").read_bytes() == NOISE
    before = len(registry.requests("blobs"))
    get(registry)
    assert len(registry.requests("blobs")) == before + 1  # its config, to choose a platform by
    registry.seen.clear()
    get(registry, f"/me/image@{found}")
    assert registry.seen == []


def test_cut_answers_are_taken_up(registry: FakeRegistry) -> None:
    """A blob whose answers break off is taken up where it ended, until it is whole."""
    registry.cut = 150_000
    get(registry, retries=5)
    assert [text for text in registry.requests("blobs") if text] == ["bytes=150000-", "bytes=300000-"]


def test_cut_pulls_are_taken_up(registry: FakeRegistry) -> None:
    """So is a blob of a pull that had given up."""
    registry.cut = 150_000
    with pytest.raises(RegistryError, match="broke"):
        get(registry, retries=0)
    assert Store().images() == ()
    registry.cut = 0
    registry.seen.clear()
    get(registry, retries=0)
    assert [text for text in registry.requests("blobs") if text] == ["bytes=150000-"]
    with as_bundle(f"{registry.host}/me/image:1") as bundle:
        assert (bundle.rootfs / "noise").read_bytes() == NOISE


def test_a_registry_without_ranges(registry: FakeRegistry) -> None:
    """Where the registry knows no ranges, what is there already is passed over."""
    registry.cut, registry.ranges = 150_000, False
    get(registry, retries=3)
    with as_bundle(f"{registry.host}/me/image:1") as bundle:
        assert (bundle.rootfs / "noise").read_bytes() == NOISE


def test_a_bad_part_is_fetched_again(registry: FakeRegistry) -> None:
    """A part that was damaged on the disk doesn't spoil the pull that takes it up."""
    registry.cut = 150_000
    with pytest.raises(RegistryError):
        get(registry, retries=0)
    (part,) = (part for part in (Store().path / "partial").iterdir() if part.stat().st_size > 1000)
    part.write_bytes(bytes(part.stat().st_size))
    registry.cut = 0
    get(registry)
    with as_bundle(f"{registry.host}/me/image:1") as bundle:
        assert (bundle.rootfs / "noise").read_bytes() == NOISE


@pytest.mark.parametrize("retry_after", ["", "1"])
def test_failures_that_pass(registry: FakeRegistry, retry_after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that failed for the moment is made again, after the time that the registry asks for."""
    waited: list[float] = []
    monkeypatch.setattr("wasmoci.image.registries.client.time.sleep", waited.append)
    registry.fail, registry.retry_after = 2, retry_after
    get(registry, retries=2, parallel=1)
    assert len(waited) % 2 == 0
    if retry_after:
        assert set(waited) == {1.0}
    else:
        assert all(first < 1.01 and second >= 1.0 for first, second in zip(waited[::2], waited[1::2], strict=True))
    registry.failed.clear()
    with pytest.raises(RegistryError, match="503"):
        get(registry, retries=1)


@pytest.mark.parametrize("what", ["manifest", "blob", "longer blob"])
def test_lies(registry: FakeRegistry, layout: Path, what: str) -> None:
    """Bytes that are not what their digest says are refused and not kept."""
    (descriptor,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(registry.blobs[descriptor["digest"]])
    if what == "manifest":
        changed = registry.blobs[descriptor["digest"]].replace(b'"Cmd"', b'"cmd"') + b" "
        registry.lie = {descriptor["digest"]: changed}
        name = f"/me/image@{descriptor['digest']}"
    else:
        blob = manifest["layers"][0]["digest"]
        good = registry.blobs[blob]
        registry.lie = {blob: good[:-1] + b"?" if what == "blob" else good + b"more"}
        name = "/me/image:1"
    with pytest.raises(InvalidImage):
        get(registry, name)
    assert Store().images() == ()
    assert [part.stat().st_size for part in (Store().path / "partial").iterdir() if part.stat().st_size > 1000] == []


def test_platforms_are_chosen_before_anything_is_fetched(tmp_path: Path) -> None:
    """Of an index only the image that is run is fetched, and an index's digest names it later."""
    from tests.image.test_reading import indexed  # noqa: PLC0415

    layout = indexed(tmp_path / "index", ("linux", "amd64"), ("wasi", "wasm"), nested=True)
    with serve(FakeRegistry()) as registry:
        name = registry.add(layout, "multi")
        pull(name, registry=options())
        (stored,) = Store().images()
        assert str(stored.descriptor.platform) == "wasi/wasm"
        assert len({path for _, path, _, _ in registry.seen}) == 4  # index, manifest, config, layer
        index = digest(registry.manifests["multi"][1])
        pull(f"{registry.host}/me/image@{index}", registry=options())
        registry.seen.clear()
        with as_bundle(f"docker://{registry.host}/me/image@{index}", registry=options()) as bundle:
            assert (bundle.rootfs / "is").read_text() == "wasi/wasm"
        assert registry.seen == []


def test_an_index_may_say_that_an_image_is_wasm(tmp_path: Path) -> None:
    """The index's entry counts where the image's own config was left as the builder's, also when it was pulled."""
    shown = {"platform": {"os": "wasi", "architecture": "wasm"}}
    layout = tmp_path / "layout"
    layout.mkdir()
    image = put_image(
        layout,
        [tar(member("hello.wasm", data=b""))],
        config={"Cmd": ["/hello.wasm"]},
        target=("linux", "amd64"),
        **shown,
    )
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image]}
    finish(layout, put_json(layout, index, OCI_INDEX))
    with as_bundle(f"oci:{layout}") as bundle:
        assert bundle.spec.annotations["module.wasm.image/variant"] == "compat"
    with serve(FakeRegistry()) as registry:
        name = registry.add(layout, "indexed")
        pull(name, registry=options())
        (stored,) = Store().images()
        assert str(stored.descriptor.platform) == "wasi/wasm"
        with as_bundle(name, registry=options()) as bundle:
            assert bundle.spec.annotations["module.wasm.image/variant"] == "compat"


AUTHS = {
    "auth": {"auth": base64.b64encode(b"me:pass").decode()},
    "wrong": {"auth": base64.b64encode(b"me:wrong").decode()},
}


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize("way", ["option", "file", "repository", "url", "authfile"])
def test_authentication(registry: FakeRegistry, tmp_path: Path, kind: str, way: str) -> None:
    """Credentials are found where they are and shown as the registry wants them, and to nobody before it asks."""
    registry.auth = kind
    more: dict[str, Any] = {}
    path = tmp_path / ("other.json" if way == "authfile" else "auth.json")
    key = {"repository": f"{registry.host}/me/image", "url": f"https://{registry.host}/v1/"}.get(way, registry.host)
    if way == "option":
        more["credential"] = Credential("me", "pass")
    else:
        path.write_text(json.dumps({"auths": {key: AUTHS["auth"], registry.host + "/other": AUTHS["wrong"]}}))
    if way == "authfile":
        more["authfile"] = path
    get(registry, **more)
    assert registry.seen[0][3] == ""
    shown = {authorization for _, path, _, authorization in registry.seen if path.startswith("/token")}
    assert shown == ({"Basic " + AUTHS["auth"]["auth"]} if kind == "bearer" else set())


def test_identity_tokens(registry: FakeRegistry, tmp_path: Path) -> None:
    """An identity token is exchanged for one to use."""
    registry.auth = "bearer"
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: {"identitytoken": "long-lived"}}}))
    get(registry)
    assert [method for method, path, _, _ in registry.seen if path == "/token"] == ["POST"]


def test_helpers(registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential helper is asked for the registry, and its answer is used."""
    registry.auth = "basic"
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(
        f'#!/bin/sh\nread server\n[ "$1 $server" = "get {registry.host}" ] || {{ echo credentials not found; exit 1; }}\n'
        'echo \'{"Username": "me", "Secret": "pass"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    for content in ({"credHelpers": {registry.host: "test"}}, {"credsStore": "test"}):
        (tmp_path / "auth.json").write_text(json.dumps(content))
        get(registry)
    (tmp_path / "auth.json").write_text(json.dumps({"credHelpers": {registry.host: "../../bin/x"}}))
    with pytest.raises(ImageError, match="plain name"):
        get(registry)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not a file of credentials"),
        ('{"auths": []}', "not an object|credentials, and"),
        ('{"auths": {"HOST": {"auth": "?"}}}', "base64"),
    ],
)
def test_bad_files_of_credentials(registry: FakeRegistry, tmp_path: Path, content: str, words: str) -> None:
    """A file of credentials that is damaged is named."""
    registry.auth = "basic"
    (tmp_path / "auth.json").write_text(content.replace("HOST", registry.host))
    with pytest.raises(ImageError, match=words):
        get(registry)


def test_credentials_stay_with_the_registry(registry: FakeRegistry) -> None:
    """Where a blob is fetched from another host, that host isn't shown the credentials."""
    with serve(FakeRegistry()) as other:
        other.blobs = registry.blobs
        registry.auth, registry.redirect = "bearer", other.host
        get(registry, credential=Credential("me", "pass"))
        assert other.seen
        assert {authorization for _, _, _, authorization in other.seen} == {""}


@pytest.mark.parametrize(
    ("change", "kind", "words", "hint"),
    [
        ({"auth": "basic"}, RegistryDenied, "there are none", "podman login"),
        ({"auth": "bearer", "token_status": 401}, RegistryDenied, "there are none", "podman login"),
        ({"auth": "bearer", "token_status": 500}, RegistryError, "answered 500", None),
        ({"status": 403}, RegistryDenied, "answered 403: DENIED: no", "rights"),
        ({"manifests": {}}, RegistryError, "answered 404: UNKNOWN: not here", "Check the name"),
        ({"status": 429}, RegistryError, "answered 429", "limits"),
        ({"status": 418}, RegistryError, "answered 418", None),
    ],
)
def test_refusals(
    registry: FakeRegistry, change: dict[str, Any], kind: type[RegistryError], words: str, hint: str | None
) -> None:
    """Each way to be refused has an error that says what was asked, what was answered, and what to do."""
    for key, value in change.items():
        setattr(registry, key, value)
    with pytest.raises(kind) as caught:
        get(registry, retries=0)
    assert words in caught.value.message
    assert caught.value.message.startswith(f"{registry.host}/me/image: ")
    assert (hint or "") in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("host", "words", "hint"),
    [
        ("127.0.0.1:1", "can't connect", "Is the registry up"),
        ("registry.invalid", "is not known (DNS)", "Check the registry's name"),
        ("HTTP", "no TLS connection", "--plain-http"),
    ],
)
def test_no_connection(registry: FakeRegistry, host: str, words: str, hint: str) -> None:
    """A registry that can't be reached is told apart: no such host, nobody there, no TLS."""
    found = RegistryOptions(retries=0, timeout=5, plain_http=False)
    with pytest.raises(RegistryError) as caught:
        pull(f"{registry.host if host == 'HTTP' else host}/me/image:1", registry=found)
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")


def test_mirrors(registry: FakeRegistry, layout: Path) -> None:
    """A mirror is asked first, under its prefix; the registry is asked when no mirror has it."""
    with serve(FakeRegistry()) as mirror:
        with pytest.raises(RegistryError) as caught:
            get(registry, "/me/other:1", mirrors=(f"{mirror.host}/hub",))
        assert "The mirror failed too" in (caught.value.hint or "")
        assert mirror.seen[0][1] == "/v2/hub/me/other/manifests/1"
        get(registry, mirrors=(mirror.host,))
        mirror.add(layout, "1")
        registry.seen.clear()
        Store().prune(everything=True)
        get(registry, mirrors=("127.0.0.1:1", mirror.host), retries=0)
        assert registry.seen == []
    assert [image.name for image in Store().images()] == [f"{registry.host}/me/image:1"]


@pytest.mark.parametrize("auth", ["", "basic", "bearer"])
def test_push(registry: FakeRegistry, layout: Path, auth: str) -> None:
    """A push sends the blobs that are missing and then the manifest, byte for byte."""
    registry.auth = auth
    registry.blobs.clear()
    told: list[int] = []
    with open_image(f"oci:{layout}") as image:
        found = options(credential=Credential("me", "pass"))
        push(
            image,
            parse_target(f"docker://{registry.host}/me/new:2"),
            options=found,
            progress=lambda _, count: told.append(count),
        )
        sent = {digest(data) for name, data in registry.uploads.items() if name != "2"}
        assert sent == {image.manifest.config.digest, image.manifest.layers[0].digest}
        assert digest(registry.uploads["2"]) == image.digest
        assert max(told) == image.manifest.layers[0].size


def test_push_tries_again(registry: FakeRegistry, layout: Path) -> None:
    """An upload that failed for the moment is begun anew."""
    registry.blobs.clear()
    registry.fail = 1
    with open_image(f"oci:{layout}") as image:
        push(image, parse_target(f"docker://{registry.host}/me/new:2"), options=options(retries=4))
    assert len(registry.uploads) == 3


def test_an_interrupted_pull_stops(registry: FakeRegistry) -> None:
    """Who interrupts a pull needn't wait for its other blobs, and nothing has a name."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(f"{registry.host}/me/image:1", registry=options(), progress=interrupt)
    assert Store().images() == ()


def test_passwords_are_not_printed() -> None:
    """Credentials don't show their secrets in a log or a traceback."""
    assert "secret" not in repr(RegistryOptions(credential=Credential("me", "secret", "secret")))


def test_pulls_at_once_share_the_work(registry: FakeRegistry) -> None:
    """Who pulls what another one is pulling waits for it, and fetches nothing twice."""
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(get(registry, parallel=1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(digests)) == 1
    assert len(digests) == 4
    large = max(registry.blobs, key=lambda name: len(registry.blobs[name]))
    assert len([path for _, path, _, _ in registry.seen if path.endswith(large)]) == 1
    assert list((Store().path / "partial").iterdir()) == []


def test_a_killed_pull_is_taken_up(registry: FakeRegistry) -> None:
    """What a pull that was killed has fetched isn't fetched again."""
    registry.cut = 150_000

    def work() -> None:
        try:
            get(registry, retries=0)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL
    registry.cut = 0
    registry.seen.clear()
    get(registry)
    assert [text for text in registry.requests("blobs") if text] == ["bytes=150000-"]
