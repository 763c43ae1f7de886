"""Maps failures of a registry to errors with a hint."""

from __future__ import annotations

import json
import ssl
import urllib.parse

from wasmoci.errors import RegistryDenied, RegistryError

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 401, 403, 404, 429
TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which repeating the request may succeed."""

_PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "wrong version number", "HTTP_REQUEST")


class Passing(Exception):
    """A failure that may be temporary.

    Args:
        error: The error to raise if it isn't.
        wait: Seconds to wait, as requested by the registry; None leaves it to the caller.
    """

    def __init__(self, error: RegistryError, wait: float | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


def status_error(name: str, method: str, url: str, status: int, body: bytes) -> RegistryError:
    """Return the error for a response with an error status.

    Args:
        name: The repository.
        method: The method of the request.
        url: The URL of the request.
        status: The HTTP status.
        body: The response's body, which may explain the error in JSON.
    """
    parts = urllib.parse.urlsplit(url)
    said = _explanation(body)
    registry = name.partition("/")[0]
    what = f"{name}: {method} {parts.path} answered {status}" + (f": {said}" if said else "")
    if status == _UNAUTHORIZED:
        return RegistryDenied(
            what, status=status, hint=f"The credentials were refused: log in again with 'podman login {registry}'."
        )
    if status == _FORBIDDEN:
        return RegistryDenied(
            what,
            status=status,
            hint="Check the name of the repository, and the rights of your account.",
        )
    if status == _NOT_FOUND:
        return RegistryError(
            what, status=status, hint="Check the name and the tag; a private repository may hide itself this way."
        )
    if status == _TOO_MANY:
        return RegistryError(what, status=status, hint="The registry limits the rate of requests: wait, or log in.")
    return RegistryError(what, status=status)


def connection_error(name: str, url: str, error: Exception) -> tuple[RegistryError, bool]:
    """Return the error for a failed connection, and whether a retry may succeed.

    Args:
        name: The repository.
        url: The URL of the request.
        error: The exception of urllib3.
    """
    import urllib3.exceptions as failures  # noqa: PLC0415  an extra, and slow to import

    reason = getattr(error, "reason", None) or error
    host = urllib.parse.urlsplit(url).netloc
    if isinstance(reason, failures.NameResolutionError):
        return RegistryError(f"{name}: the host {host!r} is not known (DNS)", hint="Check the registry's name."), False
    if isinstance(reason, failures.SSLError | ssl.SSLError):
        text = str(reason)
        if any(sign in text for sign in _PLAIN):
            hint = "The registry seems to speak plain HTTP: use --plain-http if you trust the network."
        elif "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text:
            hint = "Name the certificate authority with --ca-file FILE; --insecure skips the check for the registry's host."
        else:
            hint = None
        return RegistryError(f"{name}: no TLS connection with {host}: {text}", hint=hint), False
    if isinstance(reason, failures.NewConnectionError | failures.ConnectTimeoutError):
        return RegistryError(
            f"{name}: can't connect to {host}: {reason}", hint="Is the registry up, and the port right?"
        ), True
    if isinstance(reason, failures.ResponseError):  # too many redirects
        return RegistryError(f"{name}: {host}: {reason}"), False
    return RegistryError(f"{name}: the connection with {host} broke: {reason}"), True


def _explanation(body: bytes) -> str:
    try:
        errors = json.loads(body)["errors"]
        return "; ".join(
            ": ".join(str(item[key]) for key in ("code", "message") if item.get(key))
            for item in errors
            if isinstance(item, dict)
        )[:500]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
