"""Reads and checks descriptors, indexes and manifests: the JSON of the OCI image spec 1.1 and of Docker schema 2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import ImageError, InvalidImage
from wasmoci.image.content import media
from wasmoci.image.streams.digest import check_digest, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_JSON = 8 << 20
"""Bytes of one manifest, index or config; registries allow 4 MiB."""

_MAX_SIZE = (1 << 63) - 1
_SCHEMA_VERSION = 2
REF_NAME = "org.opencontainers.image.ref.name"


@attrs.frozen
class Platform:
    """The platform of an image: ``os/architecture[/variant]``, in Go's names."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse ``os/architecture[/variant]``.

        Raises:
            InvalidImage: It doesn't have two or three parts.
        """
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise InvalidImage(f"platform {text!r}: expected os/architecture, such as wasi/wasm or linux/amd64")
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {
            "architecture": self.architecture,
            "os": self.os,
            **({"variant": self.variant} if self.variant else {}),
        }


@attrs.frozen
class Descriptor:
    """A reference to a blob by its media type, digest and size in bytes (descriptor.md)."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    platform: Platform | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        raw: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            raw["annotations"] = dict(sorted(self.annotations.items()))
        if self.platform is not None:
            raw["platform"] = self.platform.to_dict()
        return raw


@attrs.frozen
class Index:
    """A list of manifests, usually one for each platform (image-index.md)."""

    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Manifest:
    """One image: its config, its layers from the lowest one up, its annotations (manifest.md)."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Document:
    """A node of a JSON document that knows its position for errors.

    Args:
        value: The node.
        source: The document's name in errors.
        path: The node's JSON path.
    """

    value: Any
    source: str
    path: str = "$"

    @classmethod
    def parse(cls, data: bytes, source: str) -> Document:
        """Parse a document.

        Raises:
            InvalidImage: It is not JSON, or nested too deeply.
        """
        try:
            return cls(json.loads(data), source)
        except (ValueError, RecursionError) as error:
            raise InvalidImage(f"not JSON: {error}", source=source) from None

    def get(self, key: str) -> Document | None:
        """Return a member of this object, or None where it is missing or null."""
        value = self.as_object().get(key)
        return None if value is None else Document(value, self.source, f"{self.path}.{key}")

    def need(self, key: str) -> Document:
        """Return a required member of this object."""
        found = self.get(key)
        if found is None:
            raise InvalidImage(f"{key!r} is missing", source=self.source, path=self.path)
        return found

    def items(self) -> list[Document]:
        """Return the elements of this array."""
        if not isinstance(self.value, list):
            raise self.wrong("an array")
        return [Document(item, self.source, f"{self.path}[{i}]") for i, item in enumerate(self.value)]

    def as_object(self) -> dict[str, Any]:
        """Return this object's members."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value

    def string(self) -> str:
        """Return this string."""
        if not isinstance(self.value, str):
            raise self.wrong("a string")
        return self.value

    def strings(self) -> tuple[str, ...]:
        """Return this array of strings."""
        return tuple(item.string() for item in self.items())

    def string_map(self) -> dict[str, str]:
        """Return this object whose values are strings."""
        return {key: Document(v, self.source, f"{self.path}[{key!r}]").string() for key, v in self.as_object().items()}

    def wrong(self, expected: str) -> InvalidImage:
        """Return the error for a node of the wrong type."""
        return InvalidImage(
            f"is {_kind(self.value)}; expected {expected}",
            source=self.source,
            path=self.path,
        )


def text_of(node: Document | None) -> str:
    """Return the string of an optional member, by default the empty string."""
    return "" if node is None else node.string()


def strings_of(node: Document | None) -> tuple[str, ...]:
    """Return the strings of an optional member, by default none."""
    return () if node is None else node.strings()


def map_of(node: Document | None) -> dict[str, str]:
    """Return the mapping of an optional member, by default an empty one."""
    return {} if node is None else node.string_map()


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: f"the string {value!r:.60}", type(None): "null"}
    return names.get(type(value), repr(value)[:60])


def read_descriptor(node: Document) -> Descriptor:
    """Read and check a descriptor.

    Raises:
        InvalidImage: A member is missing or invalid.
    """
    size = node.need("size")
    if not isinstance(size.value, int) or isinstance(size.value, bool) or not 0 <= size.value <= _MAX_SIZE:
        raise size.wrong("a number of bytes")
    digest = node.need("digest")
    platform = node.get("platform")
    return Descriptor(
        media_type=text_of(node.get("mediaType")),
        digest=check_digest(digest.value, source=node.source, path=digest.path),
        size=size.value,
        annotations=map_of(node.get("annotations")),
        platform=None if platform is None else read_platform(platform),
    )


def read_platform(node: Document) -> Platform:
    """Read the platform of a descriptor or of a config."""
    return Platform(text_of(node.get("os")), text_of(node.get("architecture")), text_of(node.get("variant")))


def media_type_of(node: Document, declared: str) -> str:
    """Return the media type of a document: that of its descriptor, its own, or one derived from its members.

    Args:
        node: The document.
        declared: The media type of the descriptor or of the HTTP response; empty where there is none.

    Raises:
        InvalidImage: The two disagree, so that two readers might see two images in one digest.
    """
    own = text_of(node.get("mediaType"))
    known = media.INDEXES | media.MANIFESTS
    if own and declared in known and own != declared:
        raise InvalidImage(f"says it is {own}, its descriptor says {declared}", source=node.source, path="$.mediaType")
    if "manifests" in node.as_object() and "layers" in node.as_object():
        raise InvalidImage("is an index and a manifest at once", source=node.source)
    if declared in known:
        return declared
    if own:
        return own
    if "manifests" in node.as_object():
        return media.OCI_INDEX
    return media.OCI_MANIFEST if "layers" in node.as_object() else declared


def read_index(node: Document) -> Index:
    """Read an index or a Docker manifest list."""
    _check_version(node)
    return Index(
        manifests=tuple(read_descriptor(item) for item in node.need("manifests").items()),
        annotations=map_of(node.get("annotations")),
    )


def read_manifest(node: Document, media_type: str) -> Manifest:
    """Read an image manifest."""
    _check_version(node)
    return Manifest(
        media_type=media_type,
        config=read_descriptor(node.need("config")),
        layers=tuple(read_descriptor(item) for item in node.need("layers").items()),
        annotations=map_of(node.get("annotations")),
    )


def _check_version(node: Document) -> None:
    version = node.need("schemaVersion")
    if version.value == 1:
        raise InvalidImage(
            "is of Docker's schema 1, which is not supported",
            source=node.source,
            hint="Push the image again with a tool of today: they write schema 2 or OCI.",
        )
    if version.value != _SCHEMA_VERSION:
        raise version.wrong("2")


def unknown_media_type(found: str, *, source: str, expected: str) -> InvalidImage:
    """Return the error for an unsupported media type."""
    return InvalidImage(
        f"media type {found!r} is not known; expected {expected}",
        source=source,
        hint="An image's layers are tar archives (plain, gzip, zstd) or WebAssembly (application/wasm).",
    )


def dump(raw: Mapping[str, Any]) -> bytes:
    """Serialise a document canonically: the same value always results in the same bytes."""
    text = json.dumps(raw, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ImageError(f"{text[error.start - 20 : error.end]!r} is not UTF-8, as an image's JSON has to be") from None


def describe(data: bytes, media_type: str, **more: Any) -> Descriptor:
    """Return the descriptor of a document."""
    return Descriptor(media_type, digest_of(data), len(data), **more)
