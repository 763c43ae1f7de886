"""Gets a store out of what a fault of the disk or a power cut has done to it.

What is damaged goes: an image that is pulled again gets it anew. What an index can't tell any more, the manifests themselves do.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import ImageError, InvalidImage
from wasmoci.host.regular_file import open_regular, read_regular
from wasmoci.image.content import media
from wasmoci.image.content.layout import Layout, unreadable
from wasmoci.image.content.model import MAX_JSON, Descriptor, Document, media_type_of, read_descriptor, read_manifest
from wasmoci.image.storage.staging import hold
from wasmoci.image.streams.digest import CHUNK, check_digest, hasher

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.image.storage.layout_writer import LayoutWriter


@attrs.frozen
class Repaired:
    """What was done: how many damaged blobs were removed, and how many images of a damaged index were found again."""

    blobs: int = 0
    images: int = 0


def repair(writer: LayoutWriter) -> Repaired:
    """Remove blobs that aren't what their names say, and write an index anew that is damaged.

    Images that the index can't name any more are listed without a name; :meth:`wasmoci.image.Store.images` has their digests.

    Args:
        writer: The layout; nobody may add to it meanwhile.

    Raises:
        ImageError: Something can't be read, for the host lacks something; or can't be written.
    """
    path = writer.path
    try:
        with hold(path / "blobs", exclusive=True), writer.exclusive():
            removed = 0
            sound: list[Descriptor] = []
            for algorithm in sorted((path / "blobs").iterdir()):
                for blob in sorted(algorithm.iterdir()):
                    if _is_sound(blob):
                        sound.append(Descriptor("", f"{algorithm.name}:{blob.name}", blob.stat().st_size))
                    else:
                        blob.unlink()
                        removed += 1
            with contextlib.suppress(InvalidImage):
                writer.blobs.index()
                return Repaired(blobs=removed)
            entries = _left_of_index(path / "index.json")
            listed = {entry.digest for entry in entries}
            found = [manifest for blob in sound if (manifest := _manifest(writer.blobs, blob)).media_type]
            writer.write_version()
            writer.write_index((*entries, *(manifest for manifest in found if manifest.digest not in listed)))
            return Repaired(blobs=removed, images=len(listed | {manifest.digest for manifest in found}))
    except OSError as error:
        raise ImageError(f"{error.filename or path}: can't be repaired: {error.strerror}") from error


def _is_sound(blob: Path) -> bool:
    """Whether a blob hashes to its name."""
    digest = f"{blob.parent.name}:{blob.name}"
    try:
        check_digest(digest)
        fd = open_regular(blob, follow=False)
    except InvalidImage:
        return False
    except OSError as error:
        problem = unreadable(str(blob), error)
        if isinstance(problem, InvalidImage):
            return False
        raise problem from error
    with os.fdopen(fd, "rb") as file:
        hashed = hasher(digest)
        while data := file.read(CHUNK):
            hashed.update(data)
    return f"{blob.parent.name}:{hashed.hexdigest()}" == digest


def _left_of_index(path: Path) -> tuple[Descriptor, ...]:
    """The entries of a damaged index that can be read."""
    try:
        raw: Any = Document.parse(read_regular(path, MAX_JSON, follow=False), str(path)).value
    except InvalidImage:
        return ()
    listed = raw.get("manifests") if isinstance(raw, dict) else None
    entries = []
    for entry in listed if isinstance(listed, list) else ():
        with contextlib.suppress(InvalidImage):
            entries.append(read_descriptor(Document(entry, str(path))))
    return tuple(entries)


def _manifest(layout: Layout, blob: Descriptor) -> Descriptor:
    """A blob as a manifest; without a media type when it is none."""
    if blob.size > MAX_JSON:
        return blob
    try:
        with layout.open(blob) as reader:
            document = Document.parse(reader.read(), blob.digest)
        media_type = media_type_of(document, "")
        if media_type not in media.MANIFESTS:
            return blob
        read_manifest(document, media_type)
    except InvalidImage:
        return blob
    return attrs.evolve(blob, media_type=media_type)
