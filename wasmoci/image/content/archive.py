"""Reads images from tar archives: archives of an OCI layout, and those of ``docker save`` and ``podman save``."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import posixpath
import tempfile
from typing import TYPE_CHECKING, BinaryIO

from wasmoci.errors import ImageError, ImageNotFound, InvalidImage
from wasmoci.host.regular_file import open_regular
from wasmoci.image.content import media
from wasmoci.image.content.blobs import Region
from wasmoci.image.content.layout import check_version
from wasmoci.image.content.model import MAX_JSON, Descriptor, Document, Index, describe, dump, read_index, strings_of
from wasmoci.image.streams.decompress import Decompressed, is_compressed
from wasmoci.image.streams.digest import CHUNK, VerifiedReader, check_digest, digest_of
from wasmoci.image.streams.tar import Kind, TarReader
from wasmoci.image.streams.unpack_limits import DEFAULT_LIMITS, Budget, UnpackLimits

if TYPE_CHECKING:
    from pathlib import Path

_MAX_MEMBERS = 100_000
_SHA256_DIGITS = 64


class TarIndex:
    """An archive's members by name, each of which can be read at any time.

    Args:
        path: The archive, on the host; a compressed one is first decompressed into an unnamed temporary file.
        limits: Limits of the decompression.
    """

    def __init__(self, path: Path, *, limits: UnpackLimits = DEFAULT_LIMITS) -> None:
        self.name = str(path)
        try:
            self._file: BinaryIO = os.fdopen(open_regular(path), "rb")
        except OSError as error:
            kind = InvalidImage if error.errno in (errno.EINVAL, errno.EISDIR) else ImageNotFound
            raise kind(f"{path}: can't be read: {error.strerror}") from None
        try:
            if is_compressed(self._file.read(4)):
                self._file = self._inflated(limits)
            self._members = self._scan()
        except BaseException:
            self._file.close()
            raise

    def _inflated(self, limits: UnpackLimits) -> BinaryIO:
        plain: BinaryIO = tempfile.TemporaryFile(prefix="wasmoci-")  # noqa: SIM115  closed by close()
        with self._file as packed:
            packed.seek(0)
            stream = Decompressed(packed, source=self.name, budget=Budget(limits))
            try:
                while data := stream.read(CHUNK):
                    plain.write(data)
                plain.flush()
            except BaseException as error:
                plain.close()
                if isinstance(error, OSError):
                    where = tempfile.gettempdir()
                    raise ImageError(f"{self.name}: can't be unpacked in {where}: {error.strerror}") from error
                raise
        return plain

    def _scan(self) -> dict[str, tuple[int, int] | str]:
        members: dict[str, tuple[int, int] | str] = {}
        self._file.seek(0)
        for entry in TarReader(self._file, source=self.name):
            name = _clean(entry.name)
            if entry.kind is Kind.FILE and entry.extents is None:
                members[name] = (entry.offset, entry.size)
            elif entry.kind is Kind.SYMLINK:
                members[name] = _clean(posixpath.join(posixpath.dirname(name), entry.link))
            elif entry.kind is Kind.HARD_LINK:
                members[name] = _clean(entry.link)
            if len(members) > _MAX_MEMBERS:
                raise InvalidImage(f"more than {_MAX_MEMBERS} members; an image's archive has few", source=self.name)
        return members

    def region(self, name: str) -> Region | None:
        """Return a member's bytes, through links within the archive; None when there is no such file."""
        place = self.place(name)
        return None if place is None else Region(self._file.fileno(), *place)

    def place(self, name: str) -> tuple[int, int] | None:
        """Return a member's offset and size; None when there is no such file."""
        name = _clean(name)
        for _ in range(8):
            found = self._members.get(name)
            if not isinstance(found, str):
                return found
            name = found
        return None

    def document(self, name: str) -> bytes | None:
        """Return a member that is a JSON document, None when there is none of the name."""
        place = self.place(name)
        if place is None:
            return None
        if place[1] > MAX_JSON:
            raise InvalidImage(f"larger than {MAX_JSON} bytes", source=f"{self.name}: {name}")
        return os.pread(self._file.fileno(), place[1], place[0])

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


class OciArchive:
    """The blobs of a layout in a tar archive.

    Args:
        tar: The archive; closed with this.
    """

    def __init__(self, tar: TarIndex) -> None:
        self._tar = tar
        self.name = tar.name

    def open(self, descriptor: Descriptor) -> VerifiedReader:
        """Open a blob, verified while it is read.

        Raises:
            InvalidImage: It is missing.
        """
        source = f"{self.name}: blob {descriptor.digest}"
        region = self._tar.region("blobs/" + descriptor.digest.replace(":", "/"))
        if region is None:
            raise InvalidImage("is missing", source=source, hint="The archive was cut off or put together by hand.")
        return VerifiedReader(region, descriptor.digest, descriptor.size, source=source)

    def index(self) -> Index:
        """Read ``index.json``.

        Raises:
            ImageNotFound: The archive holds no layout.
        """
        version, index = self._tar.document("oci-layout"), self._tar.document("index.json")
        if version is None or index is None:
            raise ImageNotFound(
                f"{self.name}: not an archive of an OCI layout: it has no 'oci-layout' and 'index.json'",
                hint="What 'docker save' writes is docker-archive:FILE.",
            )
        check_version(version, f"{self.name}: oci-layout")
        return read_index(Document.parse(index, f"{self.name}: index.json"))

    def close(self) -> None:
        """Close the archive."""
        self._tar.close()


class DockerArchive:
    """The images in an archive of ``docker save``: a ``manifest.json`` with the names of configs and layers.

    Such an archive has neither manifests nor digests of its layers as stored. A manifest is created: the digest of an
    uncompressed layer comes from the config, that of a compressed layer is computed.

    Args:
        tar: The archive; closed with this.
    """

    def __init__(self, tar: TarIndex) -> None:
        self._tar = tar
        self.name = tar.name
        self._blobs: dict[str, str | bytes] = {}

    def index(self) -> Document:
        """Read ``manifest.json``.

        Raises:
            ImageNotFound: The archive doesn't have it.
        """
        data = self._tar.document("manifest.json")
        if data is None:
            raise ImageNotFound(
                f"{self.name}: not an archive of 'docker save': it has no 'manifest.json'",
                hint="An archive of an OCI layout is oci-archive:FILE.",
            )
        return Document.parse(data, f"{self.name}: manifest.json")

    def select(self, reference: str) -> Descriptor:
        """Create the manifest of an image.

        Args:
            reference: One of its names, with ``:latest`` implied; ``@N`` for the N-th; empty for the only one.

        Raises:
            ImageNotFound: There is no such image, or there are several and none was named.
            InvalidImage: The archive is damaged.
        """
        images = self.index().items()
        names = [strings_of(image.get("RepoTags")) for image in images]
        if reference.startswith("@"):
            number = int(reference[1:]) if reference[1:].isdigit() else -1
            found = [image for position, image in enumerate(images) if position == number]
        elif reference:
            wanted = (reference, f"{reference}:latest")
            # Docker's names may include the default registry.
            ends = tuple(f"/{name}" for name in wanted)
            found = [
                image
                for image, tags in zip(images, names, strict=True)
                if any(tag in wanted or tag.endswith(ends) for tag in tags)
            ]
        else:
            found = images
        if len(found) != 1:
            listed = ", ".join(sorted(tag for tags in names for tag in tags)) or "none"
            what = f"no image is named {reference!r}" if reference else f"{len(images)} images; say which one"
            raise ImageNotFound(f"{self.name}: {what}", hint=f"available tags: {listed}")
        return self._manifest(found[0])

    def open(self, descriptor: Descriptor) -> VerifiedReader:
        """Open a blob, verified while it is read.

        Raises:
            InvalidImage: It is missing.
        """
        blob = self._blobs.get(descriptor.digest)
        source = f"{self.name}: {descriptor.digest}"
        if isinstance(blob, bytes):
            return VerifiedReader(io.BytesIO(blob), descriptor.digest, descriptor.size, source=source)
        region = None if blob is None else self._tar.region(blob)
        if region is None:
            raise InvalidImage("is missing", source=source)
        return VerifiedReader(region, descriptor.digest, descriptor.size, source=source)

    def close(self) -> None:
        """Close the archive."""
        self._tar.close()

    def _manifest(self, image: Document) -> Descriptor:
        name = image.need("Config").string()
        config = self._tar.document(name)
        if config is None:
            raise InvalidImage(f"the config {name!r} is missing", source=self.name)
        digest = digest_of(config)
        stem = posixpath.basename(name).removesuffix(".json")
        if len(stem) == _SHA256_DIGITS and f"sha256:{stem}" != digest:
            raise InvalidImage(f"the config {name!r} hashes to {digest}", source=self.name)
        rootfs = Document.parse(config, f"{self.name}: {name}").need("rootfs").need("diff_ids")
        diff_ids = [check_digest(item.value, source=rootfs.source, path=item.path) for item in rootfs.items()]
        layers = image.need("Layers").strings()
        if len(layers) != len(diff_ids):
            raise InvalidImage(f"{len(layers)} layers; the config lists {len(diff_ids)}", source=self.name)
        self._blobs[digest] = config
        manifest = dump(
            {
                "schemaVersion": 2,
                "mediaType": media.DOCKER_MANIFEST,
                "config": Descriptor(media.DOCKER_CONFIG, digest, len(config)).to_dict(),
                "layers": [self._layer(*pair).to_dict() for pair in zip(layers, diff_ids, strict=True)],
            }
        )
        descriptor = describe(manifest, media.DOCKER_MANIFEST)
        self._blobs[descriptor.digest] = manifest
        return descriptor

    def _layer(self, name: str, diff_id: str) -> Descriptor:
        place, region = self._tar.place(name), self._tar.region(name)
        if place is None or region is None:
            raise InvalidImage(f"the layer {name!r} is missing", source=self.name)
        digest, media_type = diff_id, media.DOCKER_LAYER
        head = region.read(4)
        if is_compressed(head):
            media_type = media.DOCKER_LAYER_GZIP if head.startswith(b"\x1f\x8b") else media.DOCKER_LAYER_ZSTD
            hashed = hashlib.sha256(head)
            while data := region.read(CHUNK):
                hashed.update(data)
            digest = f"sha256:{hashed.hexdigest()}"
        self._blobs[digest] = name
        return Descriptor(media_type, digest, place[1])


def _clean(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")
