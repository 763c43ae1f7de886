"""Recognises an image layout or archive at a path by its content."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wasmoci.errors import WasmociError
from wasmoci.host.regular_file import open_regular
from wasmoci.image.streams.decompress import Decompressed, is_compressed
from wasmoci.image.streams.tar import TarReader
from wasmoci.image.streams.unpack_limits import DEFAULT_LIMITS, Budget

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.image.streams.digest import ByteReader

_TAR_MAGIC = b"ustar"
_MAGIC_AT = 257


def recognise(path: Path) -> str | None:
    """Return the transport that reads a path: ``oci``, ``oci-archive``, ``docker-archive``, or None.

    A directory is a layout if it has ``oci-layout``, unless it also has a ``config.json``, which makes it a bundle. A
    file is an archive if it is a tar archive, plain or compressed, with the required members; Docker's newer archives
    are of both kinds and count as ``oci-archive``.

    Args:
        path: A path on the host.
    """
    try:
        if path.is_dir():
            return "oci" if (path / "oci-layout").is_file() and not (path / "config.json").exists() else None
        with os.fdopen(open_regular(path), "rb") as file:
            head = file.read(512)
            file.seek(0)
            if is_compressed(head):
                return _archive(Decompressed(file, source=str(path), budget=Budget(DEFAULT_LIMITS)), path)
            if head[_MAGIC_AT : _MAGIC_AT + len(_TAR_MAGIC)] == _TAR_MAGIC:
                return _archive(file, path)
    except (OSError, ValueError, WasmociError):
        pass  # an unreadable file isn't recognised; opening it as an image reports the reason
    return None


def _archive(stream: ByteReader, path: Path) -> str | None:
    docker = False
    for entry in TarReader(stream, source=str(path)):
        name = entry.name.removeprefix("./")
        if name == "oci-layout":
            return "oci-archive"
        docker = docker or name == "manifest.json"
    return "docker-archive" if docker else None
