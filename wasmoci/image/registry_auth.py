"""How a client proves to a registry who it is: the challenge of an answer 401, and what is sent instead (token.md)."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import TYPE_CHECKING, Protocol

from wasmoci.errors import RegistryDenied, RegistryError
from wasmoci.image.registry_errors import TEMPORARY, Passing, status_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wasmoci.image.credentials import Credential

_PARAMETER = re.compile(r'([a-zA-Z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_OK, _UNAUTHORIZED = 200, 401


class Ask(Protocol):
    """Sends a request to where tokens are given; returns the status and the body."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], fields: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        """Send it; ``fields`` are a form."""
        ...  # pragma: no cover


def authorize(
    name: str, challenge: str, scope: str, *, credential: Credential | None, plain_http: bool, ask: Ask
) -> str:
    """Answer a challenge.

    Args:
        name: The repository, for errors.
        challenge: The ``WWW-Authenticate`` header.
        scope: What is wanted, where the challenge doesn't say.
        credential: What there is to show.
        plain_http: Whether a token may be asked for over HTTP.
        ask: Sends a request.

    Returns:
        The ``Authorization`` header.

    Raises:
        RegistryDenied: There are no credentials, or they are refused.
    """
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        if credential is None:
            raise no_credential(name)
        return credential.basic
    if scheme.lower() != "bearer":
        raise RegistryDenied(
            f"{name}: the registry asks for authentication of the unknown scheme {scheme!r}", status=_UNAUTHORIZED
        )
    values = {m[1].lower(): m[2] if m[2] is not None else m[3] for m in _PARAMETER.finditer(rest)}
    realm = values.get("realm", "")
    if not realm.startswith(("https://", "http://") if plain_http else "https://"):
        raise RegistryDenied(f"{name}: the registry wants credentials sent to {realm!r}; expected an https:// URL")
    fields = {"service": values.get("service", ""), "scope": values.get("scope") or scope}
    if credential is not None and credential.identity_token:
        fields |= {"grant_type": "refresh_token", "refresh_token": credential.identity_token, "client_id": "wasmoci"}
        method = "POST"
        status, body = ask(method, realm, {}, fields)
    else:
        headers = {} if credential is None else {"Authorization": credential.basic}
        url = realm + ("&" if "?" in realm else "?") + urllib.parse.urlencode(fields)
        method = "GET"
        status, body = ask(method, url, headers, None)
    if status in TEMPORARY:
        raise Passing(status_error(name, method, realm, status, body), None)
    if status == _UNAUTHORIZED and credential is None:
        raise no_credential(name)
    if status != _OK:
        raise status_error(name, method, realm, status, body)
    return f"Bearer {_token(name, realm, body)}"


def _token(name: str, realm: str, body: bytes) -> str:
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer["access_token"]
    except (ValueError, KeyError, AttributeError):
        token = None
    if not isinstance(token, str) or not token or not token.isprintable():
        raise RegistryError(f"{name}: {realm} answered without a token")
    return token


def no_credential(name: str) -> RegistryDenied:
    """Return the error for a registry that wants to know who asks, when there is nothing to say."""
    registry = name.partition("/")[0]
    return RegistryDenied(
        f"{name}: the registry wants credentials, and there are none for it",
        status=_UNAUTHORIZED,
        hint=f"Log in with 'podman login {registry}' or 'docker login {registry}', or pass --creds USER:PASSWORD.",
    )
