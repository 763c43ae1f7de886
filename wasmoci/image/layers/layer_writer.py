"""Writes a layer reproducibly: the same files result in the same tar archive, bit for bit.

Entries are sorted by name; all belong to root and have the same time; modes are 0755 for directories and for files that
anybody may execute, otherwise 0644, so that neither the umask nor the order of a directory matters. Files are streamed,
so a layer may be larger than the memory.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import attrs

from wasmoci.errors import ImageError
from wasmoci.host.regular_file import open_regular
from wasmoci.image.content import media
from wasmoci.image.content.model import Descriptor
from wasmoci.image.streams.decompress import zstd_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPRESSIONS = {"gzip": media.OCI_LAYER_GZIP, "zstd": media.OCI_LAYER_ZSTD, "none": media.OCI_LAYER}
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3
_MOST_SHOWN = 200  # characters of a path


@attrs.frozen
class Copy:
    """A file of the host that is copied into an image.

    Args:
        source: A file, a symbolic link, or a directory with its content, on the host.
        destination: Its guest path, absolute; if it ends in ``/``, the source's name is appended.
    """

    source: Path
    destination: str

    @property
    def target(self) -> tuple[str, ...]:
        """The components of the guest path.

        Raises:
            ImageError: It is not absolute, or has a ``..``.
        """
        name = f"/{self.source.absolute().name}" if self.destination.endswith("/") and not self.source.is_dir() else ""
        parts = tuple(part for part in (self.destination + name).split("/") if part not in ("", "."))
        if not self.destination.startswith("/") or ".." in parts:
            raise ImageError(f"{self.destination!r}: expected an absolute guest path without '..'")
        return parts


@attrs.frozen
class WrittenLayer:
    """A layer that was written: its descriptor, and the digest of the uncompressed archive."""

    descriptor: Descriptor
    diff_id: str


def write_layer(copies: tuple[Copy, ...], file: BinaryIO, *, compression: str, timestamp: int) -> WrittenLayer:
    """Write a layer.

    Args:
        copies: The files; a later one replaces an earlier one of the same name.
        file: The output file.
        compression: ``gzip``, ``zstd`` or ``none``.
        timestamp: The time of all entries, seconds since the epoch.

    Raises:
        ImageError: A source can't be read, or is of an unsupported kind, or the compression is unknown.
    """
    if compression not in COMPRESSIONS:
        raise ImageError(f"compression {compression!r}; expected one of {', '.join(COMPRESSIONS)}")
    entries: dict[tuple[str, ...], Path | None] = {}
    for copy in copies:
        for count in range(1, len(copy.target)):
            entries.setdefault(copy.target[:count], None)
        entries.update(_walk(copy.source, copy.target))
    stored = _Hashing(file)
    packed = _compressor(compression, stored)
    plain = _Hashing(packed)
    with tarfile.open(fileobj=cast("IO[bytes]", plain), mode="w", format=tarfile.PAX_FORMAT) as tar:
        for parts in sorted(entries):
            if parts:
                _add(tar, "/".join(parts), entries[parts], timestamp)
    if packed is not stored:
        packed.close()
    descriptor = Descriptor(COMPRESSIONS[compression], stored.digest, stored.size)
    return WrittenLayer(descriptor, plain.digest)


def _walk(source: Path, target: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Path | None]]:
    pending = [(source, target)]
    while pending:
        source, target = pending.pop()
        try:
            mode = source.lstat().st_mode
            if stat.S_ISDIR(mode):
                if target:
                    yield target, None
                pending += [(child, (*target, child.name)) for child in source.iterdir()]
                continue
        except OSError as error:
            raise ImageError(f"{_short(source)}: can't be read: {error.strerror}") from error
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise ImageError(f"{source}: neither a file nor a directory nor a symbolic link; an image has no others")
        if not target:
            raise ImageError(f"{source}: expected a guest path with a name, such as /{source.name}")
        yield target, source


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _add(tar: tarfile.TarFile, name: str, path: Path | None, timestamp: int) -> None:
    header = tarfile.TarInfo(name)
    header.mtime = timestamp
    if path is None:
        header.type, header.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(header)
        return
    try:
        if path.is_symlink():
            header.type, header.linkname, header.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
            tar.addfile(header)
            return
        with os.fdopen(open_regular(path, follow=False), "rb") as file:
            found = os.fstat(file.fileno())
            header.size = found.st_size
            header.mode = 0o755 if found.st_mode & 0o111 else 0o644
            tar.addfile(header, file)
    except OSError as error:
        raise ImageError(f"{path}: can't be read: {error.strerror or error}") from error


class _Hashing:
    """Passes on what is written, hashing and counting it."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        self._target.write(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Do nothing: the owner of the target flushes it."""

    def close(self) -> None:
        """Do nothing: the owner of the target closes it."""

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _compressor(compression: str, target: _Hashing) -> Any:
    if compression == "gzip":
        # No name and no time in the header, which would make layers differ.
        return gzip.GzipFile("", "wb", _GZIP_LEVEL, cast("IO[bytes]", target), mtime=0)
    if compression == "zstd":
        return zstd_module().ZstdFile(target, "wb", level=_ZSTD_LEVEL)
    return target
