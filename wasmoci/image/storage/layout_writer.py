"""Writes an OCI image layout: blobs atomically, and an index that several processes may update."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import secrets
import stat
from typing import TYPE_CHECKING

from wasmoci.errors import ImageError, InvalidImage, UnsafePlace
from wasmoci.host import private_paths
from wasmoci.image.content import media
from wasmoci.image.content.layout import Layout, blob_path
from wasmoci.image.content.model import REF_NAME, Descriptor, Index, dump
from wasmoci.image.storage.staging import locked
from wasmoci.image.streams.digest import CHUNK, ByteReader, hasher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wasmoci.image.content.blobs import Blobs


_PARTS = ("blobs", "blobs/sha256", "blobs/sha512")
_MODE = 0o755  # at most; the umask may remove more


class LayoutWriter:
    """A layout directory that is written to; created if it is missing.

    Args:
        path: The directory, on the host. Its parent exists.
        partial: The directory for blobs during a transfer, on the same file system; interrupted transfers are resumed.
        None stores them next to the blobs.
        damaged: Whether its index may be damaged, which is left to :mod:`wasmoci.image.storage.repair`.

    Raises:
        ImageError: It can't be written.
        InvalidImage: Its index is damaged.
        UnsafePlace: It exists, and another user could redirect what is written.
    """

    def __init__(self, path: Path, *, partial: Path | None = None, damaged: bool = False) -> None:
        self.path = path
        self._partial = partial or path / "blobs" / "sha256"
        try:
            _check_parts(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            for directory in (path, path / "blobs", path / "blobs" / "sha256", self._partial):
                directory.mkdir(mode=_MODE, exist_ok=True)
            _check_parts(path)
            with self.exclusive():
                if not (path / "oci-layout").exists():
                    self.write_version()
                if not (path / "index.json").exists():
                    self.write_index(())
        except OSError as error:
            raise ImageError(f"{path}: can't be written: {error.strerror}") from error
        self.blobs = Layout(path)
        if not damaged:
            self.blobs.index()

    def has(self, descriptor: Descriptor) -> bool:
        """Return whether a blob is there completely; its content is verified when it is read."""
        try:
            return blob_path(self.path, descriptor.digest).stat().st_size == descriptor.size
        except FileNotFoundError:
            return False

    def missing(self, descriptor: Descriptor) -> int:
        """Return how many bytes of a blob are missing."""
        if self.has(descriptor):
            return 0
        try:
            return max(descriptor.size - self._place_of(descriptor).stat().st_size, 0)
        except FileNotFoundError:
            return descriptor.size

    def _place_of(self, descriptor: Descriptor) -> Path:
        """Return the path of a blob during its transfer."""
        return self._partial / f".partial-{descriptor.digest.replace(':', '-')}"

    def put(
        self,
        descriptor: Descriptor,
        open_at: Callable[[int], ByteReader],
        *,
        waiting: Callable[[], object] | None = None,
    ) -> None:
        """Write a blob, unless it exists.

        Args:
            descriptor: Its expected descriptor.
            open_at: Returns its bytes from an offset on, which isn't 0 when a transfer is resumed; closed at the end.
            waiting: Called while another process writes the same blob; raises an exception when that takes too long.

        Raises:
            InvalidImage: The bytes don't match; they are discarded.
            ImageError: It can't be written.
        """
        if self.has(descriptor):
            return
        partial = self._place_of(descriptor)
        try:
            with locked(partial, waiting=waiting) as fd:
                if self.has(descriptor):  # another process was faster
                    partial.unlink()
                    return
                try:
                    self._receive(fd, descriptor, open_at)
                except InvalidImage:
                    partial.unlink()  # wrong data isn't resumed
                    raise
                os.fchmod(fd, 0o644)
                os.fsync(fd)
                target = blob_path(self.path, descriptor.digest)
                target.parent.mkdir(mode=_MODE, exist_ok=True)
                partial.rename(target)
        except OSError as error:
            raise ImageError(f"{self.path}: {descriptor.digest} can't be written: {error.strerror}") from error

    def _receive(self, fd: int, descriptor: Descriptor, open_at: Callable[[int], ByteReader]) -> None:
        hashed = hasher(descriptor.digest)
        offset = 0
        while data := os.pread(fd, CHUNK, offset):
            hashed.update(data)
            offset += len(data)
        resumed = offset > 0
        if offset > descriptor.size:
            offset, resumed, hashed = 0, False, hasher(descriptor.digest)
            os.ftruncate(fd, 0)
        if offset < descriptor.size:
            reader = open_at(offset)
            try:
                while offset <= descriptor.size and (data := reader.read(CHUNK)):
                    hashed.update(data)
                    offset += _write_at(fd, data, offset)
            finally:
                reader.close()
        found = f"{descriptor.digest.partition(':')[0]}:{hashed.hexdigest()}"
        if offset == descriptor.size and found == descriptor.digest:
            return
        os.ftruncate(fd, 0)
        if resumed:  # the existing part may have been wrong
            self._receive(fd, descriptor, open_at)
            return
        raise InvalidImage(
            f"{offset} bytes that hash to {found}; expected {descriptor.size} bytes of {descriptor.digest}",
            source=f"blob {descriptor.digest}",
        )

    def put_bytes(self, data: bytes, descriptor: Descriptor) -> None:
        """Write a blob from bytes."""
        self.put(descriptor, lambda offset: io.BytesIO(data[offset:]))

    def tag(self, descriptor: Descriptor, name: str | None) -> None:
        """Set the image that a name refers to, and remove the name from its former image.

        Args:
            descriptor: The image's manifest, which has been written.
            name: The name; None lists the image without one.
        """
        annotations = {k: v for k, v in descriptor.annotations.items() if k != REF_NAME}
        if name is not None:
            annotations[REF_NAME] = name
        entry = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size, annotations, descriptor.platform)

        def changed(entries: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
            kept = (
                old
                for old in entries
                if (old.annotations.get(REF_NAME) != name if name is not None else old.digest != entry.digest)
            )
            return (*kept, entry)

        self.update(changed)

    def update(self, change: Callable[[tuple[Descriptor, ...]], tuple[Descriptor, ...]]) -> None:
        """Update the index's entries, while no other process does."""
        with self.exclusive():
            index: Index = self.blobs.index()
            entries = change(index.manifests)
            if entries != index.manifests:
                self.write_index(entries)

    def write_index(self, entries: tuple[Descriptor, ...]) -> None:
        """Write ``index.json``, within :meth:`exclusive`."""
        write_atomically(self.path / "index.json", _index_bytes(entries))

    def write_version(self) -> None:
        """Write ``oci-layout``, within :meth:`exclusive`."""
        write_atomically(self.path / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the only process that changes the index."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _check_parts(path: Path) -> None:
    """Refuse a layout that another user has created, who could use it to write elsewhere."""
    for part in (path, *(path / name for name in _PARTS)):
        try:
            status = part.stat() if part is path else part.lstat()
        except FileNotFoundError:
            continue
        problem = None
        if not private_paths.is_trusted(status):
            problem = f"belongs to the user {status.st_uid}"
        elif not stat.S_ISDIR(status.st_mode):
            problem = "is not a directory"
        elif status.st_mode & stat.S_IWOTH:
            problem = "anybody may write to it"
        if problem is not None:
            raise UnsafePlace(f"{part}: {problem}", hint="write the image to a directory of your own, or a new one")


def from_blobs(blobs: Blobs, descriptor: Descriptor) -> Callable[[int], ByteReader]:
    """Return a function for :meth:`LayoutWriter.put` that reads a blob of another source."""

    def open_at(offset: int) -> ByteReader:
        reader = blobs.open(descriptor)
        while reader.position < offset and reader.read(min(CHUNK, offset - reader.position)):
            pass
        return reader

    return open_at


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: readers see either the old or the new one, even after a crash."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        # Not writable for others, whatever the umask is: a file that others may write to isn't trusted.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_at(fd: int, data: bytes, offset: int) -> int:
    view, written = memoryview(data), 0
    while written < len(data):
        written += os.pwrite(fd, view[written:], offset + written)
    return written


def _index_bytes(entries: tuple[Descriptor, ...]) -> bytes:
    return dump({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry.to_dict() for entry in entries]})
