"""Defines the interface to an image's blobs, which layouts, archives and the store implement."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from wasmoci.errors import ImageError, InvalidImage
from wasmoci.image.content.model import MAX_JSON, Descriptor, Document

if TYPE_CHECKING:
    from wasmoci.image.streams.digest import VerifiedReader


class Blobs(Protocol):
    """A source of images' blobs."""

    name: str
    """The name for errors."""

    def open(self, descriptor: Descriptor) -> VerifiedReader:
        """Open a blob, verified while it is read.

        Raises:
            InvalidImage: It is missing.
        """
        ...  # pragma: no cover

    def close(self) -> None:
        """Release its resources."""
        ...  # pragma: no cover


def read_blob(blobs: Blobs, descriptor: Descriptor) -> bytes:
    """Return a manifest, an index or a config, complete and verified.

    Raises:
        InvalidImage: It is missing, damaged or larger than such documents are.
        ImageError: The host doesn't let it be read.
    """
    if descriptor.size > MAX_JSON:
        raise InvalidImage(
            f"a document of {descriptor.size} bytes; at most {MAX_JSON} are read",
            source=f"{blobs.name}: {descriptor.digest}",
        )
    with blobs.open(descriptor) as reader:
        try:
            return reader.read()
        except OSError as error:
            raise ImageError(f"{blobs.name}: {descriptor.digest}: can't be read: {error.strerror}") from error


def read_document(blobs: Blobs, descriptor: Descriptor) -> Document:
    """Return a JSON document, verified."""
    return Document.parse(read_blob(blobs, descriptor), f"{blobs.name}: {descriptor.digest}")


class Region:
    """A part of a file, read by position so that several parts can be read at once.

    Args:
        fd: The file's descriptor, which has to stay open; closing this object doesn't close it.
        offset: The beginning of the part.
        size: Its number of bytes.
    """

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self._offset = offset
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        data = os.pread(self._fd, min(size, self._left), self._offset)
        self._offset += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Do nothing: the file is shared."""
