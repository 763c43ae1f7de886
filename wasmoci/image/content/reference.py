"""Parses references to images: the notation of containers/image, and names in the local store."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from wasmoci.errors import InvalidReference
from wasmoci.host import private_paths
from wasmoci.image.content.layout_detection import recognise

LOCAL = "localhost"
"""The registry of names in the local store without a registry, as in Buildah and Podman."""

_DOMAIN = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z"
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")
_MAX_NAME = 255


@attrs.frozen
class Name:
    """A name of an image in a registry: ``REGISTRY/REPOSITORY[:TAG][@DIGEST]``.

    Args:
        registry: The host, with its port unless it is the default.
        repository: The path within.
        tag: Empty only when there is a digest.
        digest: If given, it decides, and the tag is only informative.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def selector(self) -> str:
        """What to request from the registry: the digest, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


@attrs.frozen
class Reference:
    """The location of an image.

    Args:
        transport: ``oci``, ``oci-archive``, ``docker-archive``, ``docker``, ``containers-storage`` or ``store``.
        location: The path of a layout or archive, else the name.
        selector: The tag in a layout, or the name in an archive; empty for the only image there.
    """

    transport: str
    location: str
    selector: str = ""

    @property
    def path(self) -> Path:
        """The layout's or archive's path, on the host."""
        return Path(self.location)

    def __str__(self) -> str:
        if self.transport == "store":
            return self.location
        slashes = "//" if self.transport == "docker" else ""
        return f"{self.transport}:{slashes}{self.location}" + (f":{self.selector}" if self.selector else "")


_FILES = ("oci", "oci-archive", "docker-archive")


def parse_reference(text: str) -> Reference:
    """Parse a reference.

    Args:
        text: ``TRANSPORT:...``, the path of a layout or an archive, or a name in the local store.

    Raises:
        InvalidReference: It is none of these; the message gives the reason.
        UnsafePlace: Another user has created a file by that name in the working directory.
    """
    transport, colon, rest = text.partition(":")
    if colon and transport in _FILES:
        # Like containers/image: the first colon ends the path, so a path can't contain a colon.
        location, _, selector = rest.partition(":")
        if not location:
            raise InvalidReference(f"{text!r}: expected a path after '{transport}:'")
        return Reference(transport, location, selector)
    if colon and transport == "docker":
        if not rest.startswith("//"):
            raise InvalidReference(f"{text!r}: expected docker://REGISTRY/REPOSITORY[:TAG|@DIGEST]")
        return Reference("docker", str(parse_name(rest[2:])))
    if colon and transport == "containers-storage":
        if not rest:
            raise InvalidReference(f"{text!r}: expected a name after 'containers-storage:'")
        return Reference(transport, rest)
    path = Path(text)
    if text and (kind := recognise(path)):
        private_paths.check_named(text)
        return Reference(kind, text)
    if text.startswith(("/", "./", "../")) or text in (".", "..", ""):
        what = "there is nothing of this name" if not path.exists() else "it is neither an image layout nor an archive"
        raise InvalidReference(f"{text!r} holds no image: {what}")
    local_name(text)
    return Reference("store", text)


def parse_target(text: str) -> Reference:
    """Parse a reference to write an image to; unlike for :func:`parse_reference`, it need not exist.

    Args:
        text: ``docker://NAME``, ``oci:DIR[:TAG]``, ``oci-archive:FILE[:TAG]``, or a name with its registry.

    Raises:
        InvalidReference: It has another form.
    """
    if text.startswith(("/", "./", "../")):
        raise InvalidReference(
            f"{text!r}: what to write there is missing", hint="Say oci:DIR[:TAG] or oci-archive:FILE[:TAG]."
        )
    transport, colon, _ = text.partition(":")
    if colon and transport in (*_FILES, "docker", "containers-storage"):
        return parse_reference(text)
    return Reference("docker", str(parse_name(text)))


def parse_name(text: str) -> Name:
    """Parse the name of an image in a registry.

    There is no default registry: a default should not decide whose images are run.

    Args:
        text: ``REGISTRY/REPOSITORY[:TAG][@DIGEST]``; a registry has a dot, a colon, or is ``localhost``.

    Raises:
        InvalidReference: It names no registry, or a part breaks the grammar of the distribution specification.
    """
    name = _parse(text)
    if not name.registry:
        raise InvalidReference(f"{text!r}: names no registry", hint=f"Write it as REGISTRY/{text}.")
    return name


def local_name(text: str) -> Name:
    """Parse a name in the local store, where the default registry is :data:`LOCAL`.

    Args:
        text: ``[REGISTRY/]REPOSITORY[:TAG][@DIGEST]``.

    Raises:
        InvalidReference: A part breaks the grammar of the distribution specification.
    """
    name = _parse(text)
    return name if name.registry else attrs.evolve(name, registry=LOCAL)


def is_host(text: str) -> bool:
    """Return whether a text is a registry's host, with or without a port."""
    return _DOMAIN.match(text) is not None


def is_repository(text: str) -> bool:
    """Return whether a text is a repository's path in the grammar of the distribution specification."""
    return _REPOSITORY.match(text) is not None and len(text) <= _MAX_NAME


def _parse(text: str) -> Name:
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.match(digest):
        raise InvalidReference(f"{text!r}: {digest!r} is not a digest; expected sha256:<64 hex digits>")
    head, slash, tail = rest.rpartition("/")
    last, colon, tag = tail.partition(":")
    if colon and not _TAG.match(tag):
        raise InvalidReference(f"{text!r}: {tag!r} is not a tag; expected letters, digits, '_', '.' and '-', up to 128")
    path = head + slash + last
    first, slash, remainder = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry, repository = first, remainder
    else:
        registry, repository = "", path
    if registry and not is_host(registry):
        raise InvalidReference(f"{text!r}: {registry!r} is not a registry's host")
    if not is_repository(repository):
        raise InvalidReference(
            f"{text!r}: {repository!r} is not a repository; expected lower-case letters and digits, separated by '/', '.', '_' or '-'"
        )
    return Name(registry, repository, tag if colon else ("" if digest else "latest"), digest)
