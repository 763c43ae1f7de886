"""Looks up credentials for registries where ``podman login`` and ``docker login`` store them."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import ImageError
from wasmoci.host.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_FILE = 1 << 20
_HELPER = re.compile(r"[A-Za-z0-9_.-]+\Z")
_HELPER_SECONDS = 60


@attrs.frozen
class Credential:
    """The credentials for a registry.

    Args:
        username: Empty when there is only an identity token.
        password: Never printed.
        identity_token: An OAuth2 refresh token, which some registries' logins return.
    """

    username: str
    password: str = attrs.field(repr=False)
    identity_token: str = attrs.field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of a basic ``Authorization`` header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @classmethod
    def parse(cls, text: str) -> Credential:
        """Read ``USER:PASSWORD``.

        Raises:
            ImageError: There is no colon.
        """
        username, colon, password = text.partition(":")
        if not colon or not username:
            raise ImageError("invalid credentials: USER:PASSWORD was expected")
        return cls(username, password)


def auth_files(authfile: Path | None = None) -> tuple[Path, ...]:
    """Return the files to search, in order (containers-auth.json(5))."""
    if authfile is not None:
        return (authfile,)
    if chosen := os.environ.get("REGISTRY_AUTH_FILE"):
        return (Path(chosen),)
    home = Path("~").expanduser()
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.geteuid()}"
    runtime_file = (
        Path(runtime, "containers/auth.json") if os.environ.get("XDG_RUNTIME_DIR") else Path(runtime, "auth.json")
    )
    return (
        runtime_file,
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "containers/auth.json"),
        Path(os.environ.get("DOCKER_CONFIG") or home / ".docker", "config.json"),
    )


def find_credential(registry: str, repository: str, *, authfile: Path | None = None) -> Credential | None:
    """Look up the credentials for a registry.

    Args:
        registry: Its host, with its port.
        repository: The repository; an entry for it, or for a path above it, takes precedence over one for the registry.
        authfile: The only file to search; None for the usual ones.

    Raises:
        ImageError: A file can't be read, or a credential helper fails.
    """
    for path in auth_files(authfile):
        content = _load(path, required=authfile is not None)
        helpers = _member(content, "credHelpers", path)
        if isinstance(helpers.get(registry), str):
            return _ask_helper(helpers[registry], registry, path)
        found = _stored(_member(content, "auths", path), registry, repository, path)
        if found is not None:
            return found
        if isinstance(content.get("credsStore"), str) and content["credsStore"]:
            found = _ask_helper(content["credsStore"], registry, path)
            if found is not None:
                return found
    return None


def _keys(registry: str, repository: str) -> Iterator[str]:
    parts = repository.split("/")
    for count in range(len(parts), -1, -1):
        yield "/".join((registry, *parts[:count]))


def _stored(auths: dict[str, Any], registry: str, repository: str, path: Path) -> Credential | None:
    # Docker's files have URLs as keys, whose path isn't a repository: only the host counts.
    plain = {key: value for key, value in auths.items() if "://" not in key}
    for key, value in auths.items():
        if "://" in key:
            plain.setdefault(key.split("://", 1)[1].split("/", 1)[0], value)
    for key in _keys(registry, repository):
        entry = plain.get(key)
        if isinstance(entry, dict) and entry:
            return _decode(entry, f"{path}: {key}")
    return None


def _decode(entry: dict[str, Any], where: str) -> Credential | None:
    token = entry.get("identitytoken") or ""
    if not entry.get("auth"):
        if entry.get("username") and entry.get("password"):
            return Credential(str(entry["username"]), str(entry["password"]), str(token))
        return Credential("", "", str(token)) if token else None  # a helper has the password
    try:
        text = base64.b64decode(str(entry["auth"]), validate=True).decode()
    except (binascii.Error, ValueError):
        raise ImageError(f"{where}: 'auth' is not base64 of USER:PASSWORD", hint=_LOGIN) from None
    username, colon, password = text.partition(":")
    if not colon:
        raise ImageError(f"{where}: 'auth' has no colon; expected base64 of USER:PASSWORD", hint=_LOGIN)
    return Credential(username, password.rstrip("\0"), str(token))


def _ask_helper(name: str, server: str, path: Path) -> Credential | None:
    if not _HELPER.match(name):
        raise ImageError(f"{path}: credential helper {name!r}; expected a plain name")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(  # noqa: S603  the user's own configuration names it
            [program, "get"],
            input=server,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"{path}: the credential helper {program!r} can't be run: {error}") from None
    if done.returncode:
        text = (done.stdout + done.stderr).strip()
        if "not found" in text:
            return None
        raise ImageError(f"the credential helper {program!r} failed for {server}: {text[:200]}")
    try:
        answer = json.loads(done.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ImageError(f"the credential helper {program!r} answered with something else than credentials") from None
    return Credential("", "", secret) if username == "<token>" else Credential(username, secret)


def _load(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path, _MAX_FILE, pipe=True) or b"{}")
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if not required:
            return {}
        raise ImageError(f"{path}: can't be read: {error.strerror}", hint=_LOGIN) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(f"{path}: not a file of credentials: {reason}", hint=_LOGIN) from None
    if not isinstance(content, dict):
        raise ImageError(f"{path}: not a file of credentials: expected a JSON object", hint=_LOGIN)
    return content


def _member(content: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, dict):
        raise ImageError(f"{path}: {key!r} is not an object", hint=_LOGIN)
    return value


_LOGIN = "'podman login REGISTRY' writes such a file."
