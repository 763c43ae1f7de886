"""Determines the origins of URLs, to which credentials are bound, and the URLs that a registry may redirect to.

Only urllib3 parses a URL, as it also sends the request: two parsers might see two hosts in one text.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import RegistryError

if TYPE_CHECKING:
    from typing_extensions import Self

_PORTS = {"http": 80, "https": 443}
_ADDRESS = re.compile(r"[!-\[\]-~]+\Z")  # visible ASCII without a backslash


@attrs.frozen
class Origin:
    """The scheme, host and port of a URL; credentials for one are sent to no other."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Return a URL's origin.

        Raises:
            ValueError: It isn't an HTTP URL, or contains a user name.
        """
        from urllib3.util import parse_url  # noqa: PLC0415  an extra, and slow to import

        if not _ADDRESS.match(url):
            raise ValueError("it has characters that no address has")
        found = parse_url(url)
        if found.scheme not in _PORTS or not found.host:
            raise ValueError("expected http:// or https:// and a host")
        if found.auth is not None:
            raise ValueError("it has a user's name or password in it")
        return cls(found.scheme, found.host.lower(), found.port or _PORTS[found.scheme])

    def __str__(self) -> str:
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def lead(name: str, url: str, location: str) -> str:
    """Return the URL that a response redirects to.

    Args:
        name: The repository, for errors.
        url: The URL of the request.
        location: The response's ``Location``.

    Raises:
        RegistryError: The redirect is refused: it isn't HTTP, contains credentials, or would drop TLS.
    """
    try:
        target = urllib.parse.urljoin(url, location) if _ADDRESS.match(location) else location
        target = target.partition("#")[0]
        origin = Origin.of(target)
    except ValueError as error:
        raise RegistryError(f"{name}: {Origin.of(url)} leads to {location[:200]!r}: {error}") from None
    if origin.scheme == "http" and url.startswith("https:"):
        raise RegistryError(
            f"{name}: {Origin.of(url)} leads to {origin}, which is not encrypted",
            hint="A registry behind a proxy that ends TLS has to know its own address: its administrator can set it.",
        )
    return target
