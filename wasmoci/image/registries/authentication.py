"""Authenticates to a registry: answers the challenge of a 401 response with basic credentials or a token (token.md)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Protocol

from wasmoci.errors import RegistryDenied, RegistryError
from wasmoci.image.registries.challenge import parse_challenges
from wasmoci.image.registries.failures import TEMPORARY, Passing, status_error
from wasmoci.image.registries.request_origin import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wasmoci.image.registries.credentials import Credential

_OK, _UNAUTHORIZED = 200, 401
_TOKEN = re.compile(r"[!-~]{1,65536}\Z")
"""The characters permitted in a header."""


class Ask(Protocol):
    """The type of a function that sends a request to a token server, and returns the status and the body."""

    def __call__(
        self, method: str, realm: str, headers: Mapping[str, str], fields: Mapping[str, str], authorization: str
    ) -> tuple[int, bytes]:
        """Send it: ``fields`` are a form, or added to the URL; ``authorization`` is only for the realm's origin."""
        ...  # pragma: no cover


def authorize(name: str, header: str, scope: str, *, registry: Origin, credential: Credential | None, ask: Ask) -> str:
    """Answer a challenge of the registry itself; one of a host that it redirected to is never answered.

    Args:
        name: The repository, for errors.
        header: The ``WWW-Authenticate`` header.
        scope: The scope, where the challenge has none.
        registry: The origin that the challenge comes from.
        credential: The credentials, if any.
        ask: Sends a request.

    Returns:
        The ``Authorization`` header, for the registry's origin.

    Raises:
        RegistryDenied: There are no credentials, they are refused, or they would be sent to an untrusted origin.
    """
    challenges = parse_challenges(header)
    bearer = next((challenge for challenge in challenges if challenge.scheme == "bearer"), None)
    if bearer is not None:
        return _bearer(name, bearer.parameters, scope, registry=registry, credential=credential, ask=ask)
    if any(challenge.scheme == "basic" for challenge in challenges):
        if credential is None:
            raise no_credential(name)
        return credential.basic
    schemes = ", ".join(repr(challenge.scheme) for challenge in challenges) or "none that can be read"
    raise RegistryDenied(
        f"{name}: the registry asks for authentication of an unknown scheme: {schemes}", status=_UNAUTHORIZED
    )


def _bearer(
    name: str, parameters: Mapping[str, str], scope: str, *, registry: Origin, credential: Credential | None, ask: Ask
) -> str:
    realm = parameters.get("realm", "")
    _check_realm(name, realm, registry)
    fields = {"service": parameters.get("service", ""), "scope": parameters.get("scope") or scope}
    if credential is not None and credential.identity_token:
        fields |= {"grant_type": "refresh_token", "refresh_token": credential.identity_token, "client_id": "wasmoci"}
        method, authorization = "POST", ""
    else:
        method, authorization = "GET", "" if credential is None else credential.basic
    status, body = ask(method, realm, {}, fields, authorization)
    if status in TEMPORARY:
        raise Passing(status_error(name, method, realm, status, body), None)
    if status == _UNAUTHORIZED and credential is None:
        raise no_credential(name)
    if status != _OK:
        raise status_error(name, method, realm, status, body)
    return f"Bearer {_token(name, realm, body)}"


def _check_realm(name: str, realm: str, registry: Origin) -> None:
    """Refuse a realm that must not get credentials.

    A registry with TLS may name another host as its token server, as Docker Hub does; that host has to use TLS as well.
    Over plain HTTP, anybody on the network could name a realm, so only the registry itself is accepted.
    """
    try:
        origin = Origin.of(realm)
    except ValueError as error:
        raise RegistryDenied(f"{name}: the registry wants credentials sent to {realm[:200]!r}: {error}") from None
    if origin != registry and "http" in (origin.scheme, registry.scheme):
        expected = str(registry) if registry.scheme == "http" else "an https:// URL"
        raise RegistryDenied(f"{name}: the registry wants credentials sent to {realm!r}; expected {expected}")


def _token(name: str, realm: str, body: bytes) -> str:
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer["access_token"]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        token = None
    if not isinstance(token, str) or not _TOKEN.match(token):
        raise RegistryError(f"{name}: {realm} answered without a token")
    return token


def no_credential(name: str) -> RegistryDenied:
    """Return the error for a registry that requires authentication when there are no credentials."""
    registry = name.partition("/")[0]
    return RegistryDenied(
        f"{name}: the registry wants credentials, and there are none for it",
        status=_UNAUTHORIZED,
        hint=f"Log in with 'podman login {registry}' or 'docker login {registry}', or pass --creds USER:PASSWORD.",
    )
