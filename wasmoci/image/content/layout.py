"""Reads an OCI image layout: a directory with ``oci-layout``, ``index.json`` and ``blobs/`` (image-layout.md)."""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING

from wasmoci.errors import ImageError, ImageNotFound, InvalidImage
from wasmoci.host.regular_file import open_regular, read_regular
from wasmoci.image.content import media
from wasmoci.image.content.model import MAX_JSON, REF_NAME, Descriptor, Document, Index, read_index
from wasmoci.image.streams.digest import VerifiedReader

if TYPE_CHECKING:
    from pathlib import Path

CONTAINERD_NAME = "io.containerd.image.name"

_OTHER_FILES = (errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENOTDIR)
"""What is answered where something else is in the place of a regular file."""


class Layout:
    """The blobs of a layout directory.

    Args:
        path: The directory, on the host.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def open(self, descriptor: Descriptor) -> VerifiedReader:
        """Open a blob, verified while it is read.

        Raises:
            InvalidImage: It is missing, or not a regular file.
            ImageError: The host doesn't allow it to be read, which says nothing about its content.
        """
        source = f"{self.name}: blob {descriptor.digest}"
        try:
            fd = open_regular(blob_path(self.path, descriptor.digest), follow=False)
        except FileNotFoundError:
            raise InvalidImage("is missing", source=source, hint="The image was copied or pulled in part.") from None
        except OSError as error:
            raise unreadable(source, error) from None
        return VerifiedReader(io.FileIO(fd), descriptor.digest, descriptor.size, source=source)

    def index(self) -> Index:
        """Read ``index.json``.

        Raises:
            ImageNotFound: There is no layout here.
            InvalidImage: It is damaged, or of another version.
            ImageError: The host doesn't let it be read.
        """
        check_version(self._read("oci-layout"), f"{self.name}/oci-layout")
        return read_index(Document.parse(self._read("index.json"), f"{self.name}/index.json"))

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _read(self, name: str) -> bytes:
        try:
            data = read_regular(self.path / name, MAX_JSON, follow=False)
        except (FileNotFoundError, NotADirectoryError):
            raise ImageNotFound(
                f"{self.name}: not an OCI image layout: it has no {name!r}",
                hint="Make one with 'skopeo copy ... oci:DIR' or 'wasmoci build -o oci:DIR'.",
            ) from None
        except OSError as error:
            raise unreadable(f"{self.name}/{name}", error) from None
        if len(data) > MAX_JSON:
            raise InvalidImage(f"larger than {MAX_JSON} bytes", source=f"{self.name}/{name}")
        return data


def unreadable(source: str, error: OSError) -> ImageError:
    """What it means that a file of an image can't be read: that it is no such file, or that the host lacks something."""
    if error.errno in _OTHER_FILES:
        return InvalidImage(f"can't be read: {error.strerror}", source=source)
    return ImageError(f"{source}: can't be read: {error.strerror}")


def blob_path(layout: Path, digest: str) -> Path:
    """Return the path of a blob in a layout; the digest has to be checked before."""
    algorithm, _, encoded = digest.partition(":")
    return layout / "blobs" / algorithm / encoded


def check_version(data: bytes, source: str) -> None:
    """Check an ``oci-layout`` file."""
    version = Document.parse(data, source).need("imageLayoutVersion").string()
    if version.split(".")[0] != "1":
        raise InvalidImage(f"image layout version {version!r}; expected 1.0.0", source=source)


def select_tag(index: Index, tag: str, *, name: str) -> tuple[Descriptor, ...]:
    """Return the manifests of a tag in a layout's index; there are several if they are for different platforms.

    Args:
        index: The layout's ``index.json``.
        tag: The tag, or empty for the only image.
        name: The layout's name in errors.

    Raises:
        ImageNotFound: No such tag, or none given where there are several images.
    """
    known = tuple(d for d in index.manifests if not d.media_type or d.media_type in media.INDEXES | media.MANIFESTS)
    if tag:
        found = tuple(d for d in known if tag in (d.annotations.get(REF_NAME), d.annotations.get(CONTAINERD_NAME)))
        found = found or tuple(d for d in known if d.digest == tag)
    else:
        found = known if len({d.annotations.get(REF_NAME) for d in known}) <= 1 else ()
    if found:
        return found
    tags = sorted({d.annotations[REF_NAME] for d in known if REF_NAME in d.annotations})
    listed = ", ".join(tags) if tags else "none"
    if not known:
        raise ImageNotFound(f"{name}: the layout holds no image")
    if tag:
        raise ImageNotFound(f"{name}: no image is tagged {tag!r}", hint=f"available tags: {listed}")
    raise ImageNotFound(f"{name}: several images; say which one as oci:DIR:TAG", hint=f"available tags: {listed}")
