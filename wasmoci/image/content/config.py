"""Reads an image's configuration: what to run, and how (OCI image spec, config.md; the CNCF's Wasm config)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import InvalidImage
from wasmoci.image.content import media
from wasmoci.image.content.model import (
    Document,
    Platform,
    map_of,
    read_platform,
    strings_of,
    text_of,
    unknown_media_type,
)
from wasmoci.image.streams.digest import check_digest

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class ImageConfig:
    """The part of an image's configuration that is needed to run it; the names are those of config.md.

    Args:
        platform: The platform of the image.
        diff_ids: The digests of the layers' uncompressed tar archives, from the lowest layer up.
        raw: The whole document.
    """

    platform: Platform
    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    stop_signal: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    created: str = ""
    author: str = ""
    diff_ids: tuple[str, ...] = ()
    raw: Mapping[str, Any] = attrs.field(factory=dict)


def read_config(node: Document, media_type: str) -> ImageConfig:
    """Read a configuration of a known media type.

    Raises:
        InvalidImage: The media type is unknown, or the document is invalid.
    """
    if media_type in media.WASM_CONFIGS:
        return ImageConfig(
            platform=read_platform(node),
            created=text_of(node.get("created")),
            author=text_of(node.get("author")),
            raw=node.as_object(),
        )
    if media_type == media.OCI_EMPTY:
        return ImageConfig(platform=Platform("", ""), raw=node.as_object())
    if media_type not in media.IMAGE_CONFIGS:
        raise unknown_media_type(
            media_type, source=node.source, expected=f"a config such as {media.OCI_CONFIG} or {media.WASM_CONFIG}"
        )
    inner = node.get("config") or Document({}, node.source, "$.config")
    return ImageConfig(
        platform=read_platform(node),
        user=text_of(inner.get("User")),
        env=strings_of(inner.get("Env")),
        entrypoint=strings_of(inner.get("Entrypoint")),
        cmd=strings_of(inner.get("Cmd")),
        working_dir=text_of(inner.get("WorkingDir")),
        labels=map_of(inner.get("Labels")),
        stop_signal=text_of(inner.get("StopSignal")),
        exposed_ports=_keys(inner.get("ExposedPorts")),
        volumes=_keys(inner.get("Volumes")),
        created=text_of(node.get("created")),
        author=text_of(node.get("author")),
        diff_ids=_diff_ids(node),
        raw=node.as_object(),
    )


def _keys(node: Document | None) -> tuple[str, ...]:
    return () if node is None else tuple(sorted(node.as_object()))


def _diff_ids(node: Document) -> tuple[str, ...]:
    rootfs = node.get("rootfs")
    if rootfs is None:
        return ()
    kind = text_of(rootfs.get("type"))
    if kind != "layers":
        raise InvalidImage(f"is {kind!r}; expected 'layers'", source=node.source, path="$.rootfs.type")
    ids = rootfs.get("diff_ids")
    if ids is None:
        return ()
    return tuple(check_digest(item.value, source=node.source, path=item.path) for item in ids.items())
