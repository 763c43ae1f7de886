"""Writes one image to a tar archive of an OCI image layout, reproducibly."""

from __future__ import annotations

import io
import os
import secrets
import tarfile
from typing import TYPE_CHECKING, BinaryIO

import attrs

from wasmoci.errors import ImageError
from wasmoci.image.content import media
from wasmoci.image.content.model import REF_NAME, Descriptor, dump

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.image.content.image import Image


def write_archive(image: Image, path: Path, *, tag: str) -> None:
    """Write an image as an ``oci-archive``; an existing file is replaced when the new one is complete.

    Args:
        image: The image.
        path: The file, on the host.
        tag: Its name in the archive; empty for none.

    Raises:
        ImageError: It can't be written.
        InvalidImage: A blob of the image is damaged.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with partial.open("xb") as file:
            _write(image, file, tag)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ImageError(f"{path}: can't be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write(image: Image, file: BinaryIO, tag: str) -> None:
    annotations = {REF_NAME: tag} if tag else {}
    entry = attrs.evolve(image.descriptor, annotations=annotations, platform=None)
    index = dump({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry.to_dict()]})
    blobs = {blob.digest: blob for blob in (image.descriptor, image.manifest.config, *image.manifest.layers)}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", index)
        for digest in sorted(blobs):
            _add_blob(tar, image, blobs[digest])


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    tar.addfile(_header(name, len(data)), io.BytesIO(data))


def _add_blob(tar: tarfile.TarFile, image: Image, blob: Descriptor) -> None:
    with image.blobs.open(blob) as reader:
        tar.addfile(_header("blobs/" + blob.digest.replace(":", "/"), blob.size), reader)
        reader.drain()


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o644
    return header
