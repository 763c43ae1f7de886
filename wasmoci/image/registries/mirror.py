"""Determines the mirrors of an image: registries that are tried before the one that its name gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import InvalidReference
from wasmoci.image.content.reference import is_host, is_repository

if TYPE_CHECKING:
    from wasmoci.image.content.reference import Name
    from wasmoci.image.registries.options import RegistryOptions

_SECURE = "https://"


@attrs.frozen
class Endpoint:
    """A repository that may have an image, and the options for it.

    Args:
        registry: Its host, with its port.
        repository: The repository within.
        options: The options for this registry; they contain its own credentials and no others.
    """

    registry: str
    repository: str
    options: RegistryOptions


def endpoints(name: Name, options: RegistryOptions) -> tuple[Endpoint, ...]:
    """Return the repositories to try for an image: the mirrors in order, then its registry.

    Args:
        name: The image.
        options: Options for registries.

    Raises:
        InvalidReference: A mirror is not ``[https://]HOST[/PREFIX]``.
    """
    mirrors = (_mirror(mirror, name, options) for mirror in options.mirrors)
    return (*mirrors, Endpoint(name.registry, name.repository, options))


def _mirror(text: str, name: Name, options: RegistryOptions) -> Endpoint:
    host, _, prefix = text.removeprefix(_SECURE).rstrip("/").partition("/")
    repository = f"{prefix}/{name.repository}" if prefix else name.repository
    if not (is_host(host) and is_repository(repository)):
        raise InvalidReference(
            f"mirror {text!r}: expected HOST[:PORT][/PREFIX]",
            hint="Credentials for it come from a login, or with --mirror-creds USER:PASSWORD.",
        )
    own = attrs.evolve(options, credential=options.mirror_credential)
    if text.startswith(_SECURE):
        own = attrs.evolve(own, plain_http=False, insecure=False)
    return Endpoint(host, repository, own)
