"""Credentials are for the scheme, host and port of the registry that they are for, whatever that registry or another host answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.fake_registry import FakeRegistry, serve
from tests.image.registries import BASIC, ME, get, options
from tests.image.tools import certificate
from wasmoci.errors import ImageError, InvalidReference, RegistryDenied, RegistryError
from wasmoci.image import Credential, Name, Store, open_image, parse_target, pull, push
from wasmoci.image.registries.challenge import parse_challenges
from wasmoci.image.registries.client import Repository
from wasmoci.image.registries.credentials import find_credential

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.heavy


pytestmark = pytest.mark.usefixtures("registry_client", "no_pauses")


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the certificate ``ca.pem`` of 127.0.0.1."""
    directory = tmp_path_factory.mktemp("tls")
    certificate(directory)
    return directory


@pytest.fixture
def evil() -> Iterator[FakeRegistry]:
    """Another host, which would like to know the password."""
    with serve(FakeRegistry()) as found:
        yield found


def nothing_learnt(host: FakeRegistry) -> bool:
    """Whether a host was shown no credential, in no form."""
    text = json.dumps(host.seen) + "".join(host.forms)
    return host.shown() == set() and "long-lived" not in text and "pass" not in text


# What a host answers that the registry led to.


@pytest.mark.parametrize("kind", ["blobs", "manifests"])
@pytest.mark.parametrize(
    "challenge", ["Basic realm=x", 'Bearer realm="http://{evil}/token",service="s"', 'Bearer realm="{registry}/token"']
)
@pytest.mark.parametrize("auth", ["", "basic", "bearer"])
def test_no_challenge_behind_a_redirection_is_answered(
    registry: FakeRegistry, evil: FakeRegistry, kind: str, challenge: str, auth: str
) -> None:
    """A host that a redirection leads to gets no credential by asking for one."""
    registry.auth, registry.redirects = auth, {kind: f"{evil.address}{{path}}"}
    evil.challenge = challenge.format(evil=evil.host, registry=registry.address)
    with pytest.raises(RegistryDenied, match="they are for the registry alone"):
        get(registry, credential=ME)
    assert evil.seen
    assert nothing_learnt(evil)
    assert not any(path.startswith("/token") for _, path, _, _ in evil.seen)


def test_a_token_is_not_given_by_whoever_the_realm_leads_to(registry: FakeRegistry, evil: FakeRegistry) -> None:
    """A realm that leads elsewhere gives no token, and the password doesn't go along."""
    registry.auth, registry.redirects = "bearer", {"token": f"{evil.address}{{path}}"}
    with pytest.raises(RegistryError, match="gives no token"):
        get(registry, credential=ME)
    assert evil.seen
    assert nothing_learnt(evil)


def test_an_identity_token_goes_along_no_redirection(
    registry: FakeRegistry, evil: FakeRegistry, tmp_path: Path
) -> None:
    """So does an identity token."""
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: {"identitytoken": "long-lived"}}}))
    registry.auth, registry.redirects = "bearer", {"token": f"{evil.address}{{path}}"}
    with pytest.raises(RegistryError):
        get(registry)
    assert evil.seen == []


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_nothing_is_shown_after_a_way_through_another_host(
    registry: FakeRegistry, evil: FakeRegistry, auth: str
) -> None:
    """Once a redirection has led elsewhere the registry itself isn't shown them either: who led there chose what is asked."""
    registry.auth, registry.redirect = auth, evil.host
    evil.redirects = {"blobs": f"{registry.address}/v2/me/private/blobs/x"}
    with pytest.raises(RegistryDenied, match="they are for the registry alone"):
        get(registry, credential=ME)
    private = [authorization for _, path, _, authorization in registry.seen if "/private/" in path]
    assert private
    assert set(private) == {""}


def test_the_same_machine_under_another_name_is_another_host(registry: FakeRegistry) -> None:
    """An origin is what the address says: another name or port is another one, also where it is the same machine."""
    registry.auth = "basic"
    registry.redirect = registry.host.replace("127.0.0.1", "localhost")
    with pytest.raises(RegistryDenied, match="http://localhost:"):
        get(registry, credential=ME)


@pytest.mark.parametrize(
    "location",
    [
        "http://me:pass@{evil}/x",
        "http://{registry}@{evil}/x",
        "http://{evil}\\@{registry}/x",
        "http://{evil}\t/x",
        "http://{evil}/x y",
        "http://[::1/x",
        "http://{evil}:99999999/x",
        "ftp://{evil}/x",
        "file:///etc/passwd",
        "gopher://{evil}/x",
        "http://{evil}/\u00e9",
    ],
)
@pytest.mark.parametrize("kind", ["blobs", "manifests", "uploads"])
def test_addresses_that_are_not_gone_to(
    registry: FakeRegistry, evil: FakeRegistry, layout: Path, kind: str, location: str
) -> None:
    """An address with a user in it, of another scheme, or that two readers may read in two ways is refused."""
    place = location.format(evil=evil.host, registry=registry.host).encode().decode("latin-1")
    if kind == "uploads":
        registry.blobs.clear()
        registry.upload_to = place
        with open_image(f"oci:{layout}") as image, pytest.raises(RegistryError, match="leads to"):
            push(image, parse_target(f"docker://{registry.host}/me/new:2"), options=options(credential=ME))
    else:
        registry.redirects = {kind: place}
        with pytest.raises(RegistryError, match="leads to"):
            get(registry, credential=ME)
    assert evil.seen == []


def test_a_redirection_without_credentials_still_works(registry: FakeRegistry, layout: Path) -> None:
    """A host that a redirection leads to gives blobs as ever, by an address of any form that is one."""
    with serve(FakeRegistry()) as storage:
        storage.add(layout, "1")
        for form in ("http://{storage}{{path}}", "//{storage}{{path}}", "http://{storage}{{path}}#x"):
            Store().prune(everything=True)
            registry.auth, registry.redirects = "", {"blobs": form.format(storage=storage.host)}
            get(registry, credential=ME)
        assert storage.shown() == set()


# Realms.


def test_a_registry_names_its_realm_over_tls(tls: Path, layout: Path) -> None:
    """A registry says over TLS who gives its tokens, which may be another host, as Docker Hub's does."""
    with serve(FakeRegistry(), tls=tls) as registry, serve(FakeRegistry(), tls=tls) as auth:
        registry.add(layout, "1")
        registry.auth, registry.realm = "bearer", f"{auth.address}/token"
        get(registry, plain_http=False, ca_file=tls / "ca.pem", credential=ME)
        assert auth.shown() == {BASIC}
        assert registry.shown() == {"Bearer secret"}


def test_a_registry_without_tls_gives_its_tokens_itself(tls: Path, layout: Path) -> None:
    """Over plain HTTP anybody on the way may have named a realm, so another host gets nothing, be it asked over TLS."""
    with serve(FakeRegistry()) as registry, serve(FakeRegistry(), tls=tls) as auth:
        registry.add(layout, "1")
        registry.auth, registry.realm = "bearer", f"{auth.address}/token"
        with pytest.raises(RegistryDenied, match=f"wants credentials sent to .*; expected {registry.address}"):
            get(registry, ca_file=tls / "ca.pem", credential=ME)
        assert auth.seen == []


@pytest.mark.parametrize("where", ["http://{evil}/token", "ftp://{evil}/token", "http://me@{evil}/token", "", "/token"])
@pytest.mark.parametrize("secure", [True, False])
def test_realms_that_are_refused(
    tls: Path, layout: Path, evil: FakeRegistry, where: str, tmp_path: Path, *, secure: bool
) -> None:
    """A realm without TLS is only ever the registry itself, and only where that is asked without TLS."""
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {}}))
    with serve(FakeRegistry(), tls=tls if secure else None) as registry:
        registry.add(layout, "1")
        registry.challenge = f'Bearer realm="{where.format(evil=evil.host)}"'
        with pytest.raises(RegistryDenied, match="wants credentials sent to"):
            get(registry, plain_http=not secure, ca_file=tls / "ca.pem", credential=ME)
        assert evil.seen == []


# Giving up TLS.


@pytest.mark.parametrize("kind", ["blobs", "manifests", "token", "uploads"])
def test_tls_is_not_given_up(tls: Path, layout: Path, evil: FakeRegistry, kind: str) -> None:
    """What is asked for over TLS is never had without, nor sent without."""
    secure = options(plain_http=False, ca_file=tls / "ca.pem", credential=ME)
    with serve(FakeRegistry(), tls=tls) as registry:
        name = registry.add(layout, "1")
        registry.redirects = {} if kind == "uploads" else {kind: f"{evil.address}{{path}}"}
        registry.upload_to = f"{evil.address}{{path}}"
        registry.auth = "bearer" if kind == "token" else ""
        if kind == "uploads":
            registry.blobs.clear()
            with open_image(f"oci:{layout}") as image, pytest.raises(RegistryError, match="not encrypted"):
                push(image, parse_target(f"docker://{name}"), options=secure)
        else:
            with pytest.raises(RegistryError, match="not encrypted"):
                pull(name, registry=secure)
    assert evil.seen == []


def test_any_certificate_is_believed_of_the_registry_alone(tls: Path, layout: Path) -> None:
    """``insecure`` is said of the registry's host: another one that it leads to has to have a certificate."""
    with serve(FakeRegistry(), tls=tls) as registry, serve(FakeRegistry(), tls=tls, address="127.0.0.2") as other:
        registry.add(layout, "1")
        get(registry, plain_http=False, insecure=True)
        Store().prune(everything=True)
        registry.redirect = other.address
        with pytest.raises(RegistryError, match="no TLS connection"):
            get(registry, plain_http=False, insecure=True)
        assert other.seen == []


# Uploads.


@pytest.mark.parametrize("challenge", ["", "Basic realm=x", 'Bearer realm="http://{evil}/token"'])
@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_uploads_to_another_host(
    registry: FakeRegistry, evil: FakeRegistry, layout: Path, auth: str, challenge: str
) -> None:
    """Where a registry has blobs uploaded to another host, that one gets the blobs alone."""
    registry.auth, registry.upload_to = auth, f"{evil.address}{{path}}"
    registry.blobs.clear()
    evil.challenge = challenge.format(evil=evil.host)
    with open_image(f"oci:{layout}") as image:
        target = parse_target(f"docker://{registry.host}/me/new:2")
        if challenge:
            with pytest.raises(RegistryDenied, match="they are for the registry alone"):
                push(image, target, options=options(credential=ME))
        else:
            push(image, target, options=options(credential=ME))
            assert len(evil.uploads) == 2
    assert evil.seen
    assert nothing_learnt(evil)


def test_no_blob_is_asked_for_from_another_repository(registry: FakeRegistry, layout: Path) -> None:
    """A push mounts nothing from other repositories, and asks for rights in its own alone."""
    registry.auth = "bearer"
    registry.blobs.clear()
    with open_image(f"oci:{layout}") as image:
        push(image, parse_target(f"docker://{registry.host}/me/new:2"), options=options(credential=ME))
    assert not any("mount=" in path or "from=" in path for _, path, _, _ in registry.seen)


# Mirrors and other registries.


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("own", [None, Credential("mirror", "other")])
def test_credentials_do_not_go_to_mirrors(
    registry: FakeRegistry, evil: FakeRegistry, auth: str, own: Credential | None
) -> None:
    """A mirror is shown what was given for mirrors, never what was given for the registry."""
    registry.auth = auth
    evil.auth = auth
    get(registry, credential=ME, mirror_credential=own, mirrors=(evil.host,))
    assert evil.seen
    shown = evil.shown() - {"Bearer secret"}  # its own token, given to anybody
    assert shown == (set() if own is None else {own.basic})
    assert BASIC in registry.shown()
    assert own is None or own.basic not in registry.shown()


def test_a_mirror_of_https_is_never_asked_without(registry: FakeRegistry, evil: FakeRegistry) -> None:
    """A mirror that is named with ``https://`` is asked over TLS, also where the registry speaks plain HTTP."""
    get(registry, mirrors=(f"https://{evil.host}",), mirror_credential=ME)
    assert evil.seen == []


@pytest.mark.parametrize(
    "mirror",
    ["me:pass@{host}", "http://{host}", "{host}/UPPER", "{host}/../x", "{host}?x", "{host}\n", "", "/x", "a b"],
)
def test_mirrors_that_are_none(registry: FakeRegistry, evil: FakeRegistry, mirror: str) -> None:
    """What isn't a host with a path is refused before anybody is asked."""
    with pytest.raises(InvalidReference, match=r"HOST\[:PORT\]"):
        get(registry, mirrors=(mirror.format(host=evil.host),))
    assert evil.seen == registry.seen == []


def test_credentials_of_a_push_are_the_targets(
    registry: FakeRegistry, evil: FakeRegistry, layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where an image goes from one registry to another, the credentials that were given are shown to the second alone."""
    from wasmoci.cli import main  # noqa: PLC0415

    name = evil.add(layout, "1")
    evil.auth, registry.auth = "basic", "basic"
    creds = ("--plain-http", "--retries=0", "--creds=me:pass")
    assert main(["push", *creds, f"docker://{name}", f"docker://{registry.host}/me/new:2"]) == 125
    assert "there are none for it" in capsys.readouterr().err
    assert nothing_learnt(evil)
    assert main(["push", *creds, f"docker://{name}", f"docker://{evil.host}/me/image:3"]) == 0
    assert evil.shown() == {BASIC}


@pytest.mark.parametrize("host", ["me:pass@{host}", "{host}/x?", "{host}\\x", "a b", ""])
def test_hosts_that_are_none(evil: FakeRegistry, host: str) -> None:
    """A name that was put together by hand is no way around: a user in it, or whatever else, is refused."""
    name = Name(host.format(host=evil.host), "me/image", "1")
    with pytest.raises(ImageError):
        Repository(name.registry, name.repository, options(credential=ME)).manifest("1")
    assert nothing_learnt(evil)


@pytest.mark.parametrize(
    "key",
    [
        "other.example",
        "{name}",
        "{name}:5001",
        "https://{name}:5001/v1/",
        "https://{host}@other.example",
        "{host}/other",
        "{host}/me/imag",
        "{host}/me/image/deeper",
        "x{host}",
        "{host}x",
        "https://other.example/{host}",
        "*",
        "",
    ],
)
def test_entries_for_other_hosts(tmp_path: Path, key: str) -> None:
    """An entry of a file of credentials is for its host, port and path alone."""
    host = "registry.example:5000"
    (tmp_path / "auth.json").write_text(
        json.dumps({"auths": {key.format(host=host, name="registry.example"): {"username": "me", "password": "pass"}}})
    )
    assert find_credential(host, "me/image") is None


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", "x\n", "$(x)", "", ";x", "x\0y", "\u00e9"])
def test_helpers_of_hostile_names(tmp_path: Path, name: str) -> None:
    """A credential helper is a plain name, or isn't called."""
    for content in ({"credHelpers": {"h.io": name}}, {"credsStore": name}):
        (tmp_path / "auth.json").write_text(json.dumps(content))
        if name or "credHelpers" in content:
            with pytest.raises(ImageError, match="expected a plain name"):
                find_credential("h.io", "x")
        else:
            assert find_credential("h.io", "x") is None


@pytest.mark.parametrize("answer", [b"\xff\xfe", b"[" * 100_000, b'{"Username": 1}', b"[]", b"null", b""])
def test_helpers_that_answer_nonsense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """What a helper answers that isn't credentials is an error of its kind."""
    (tmp_path / "answer").write_bytes(answer)
    helper = tmp_path / "docker-credential-x"
    helper.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "auth.json").write_text(json.dumps({"credsStore": "x"}))
    with pytest.raises(ImageError, match="something else than credentials"):
        find_credential("h.io", "x")


# What else can be wrong with an answer.


@pytest.mark.parametrize(
    "token", ["", "a b", "a\r\nX-Evil: 1", "\u00e9", "\u202e", 5, None, [], {"a": 1}, "x" * 70_000], ids=repr
)
def test_tokens_that_are_none(registry: FakeRegistry, token: Any) -> None:
    """A token that can't be a header's is refused by name."""
    registry.auth, registry.token = "bearer", token
    with pytest.raises(RegistryError, match="without a token"):
        get(registry, credential=ME)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic realm=x", [("basic", {"realm": "x"})]),
        ('Bearer realm="a\\"b",service=s', [("bearer", {"realm": 'a"b', "service": "s"})]),
        ('Bearer realm="a",Basic realm="b"', [("bearer", {"realm": "a"}), ("basic", {"realm": "b"})]),
        ('Basic realm="b", Bearer realm="a"', [("basic", {"realm": "b"}), ("bearer", {"realm": "a"})]),
        ('Bearer realm="a",realm="evil"', [("bearer", {"realm": "a"})]),
        ("Negotiate, Basic realm=b", [("negotiate", {}), ("basic", {"realm": "b"})]),
        ('Bearer REALM = "a" , scope="x,y"', [("bearer", {"realm": "a", "scope": "x,y"})]),
        ("", []),
        (",,", []),
        ('"', []),
        ('Bearer realm="unfinished', [("bearer", {})]),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    """A header may have several challenges; what can't be read ends it, and what is said twice counts once."""
    found = [(challenge.scheme, dict(challenge.parameters)) for challenge in parse_challenges(header)]
    assert found[: len(expected)] == expected
    assert len(found) <= len(expected) + 1
