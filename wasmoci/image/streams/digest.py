"""Checks digests, and verifies streams while they are read.

A blob isn't trusted before its last byte has been hashed: reading through :class:`VerifiedReader` raises an error at
the end of a blob that doesn't match its descriptor, and the caller has to discard everything derived from it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Protocol

from wasmoci.errors import InvalidImage

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_FORM = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")
CHUNK = 1 << 20


class ByteReader(Protocol):
    """The interface for reading a blob: a file, an archive's member, a connection."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        ...  # pragma: no cover

    def close(self) -> None:
        """Release its resources."""
        ...  # pragma: no cover


def check_digest(text: object, *, source: str | None = None, path: str | None = None) -> str:
    """Return ``text`` if it is a digest of a registered algorithm (OCI image spec, descriptor.md).

    Raises:
        InvalidImage: It isn't. A digest becomes a file name, so this also confines a layout's reads to its directory.
    """
    if isinstance(text, str) and _FORM.match(text):
        return text
    raise InvalidImage(
        f"digest is {text!r}; expected sha256:<64 hex digits> or sha512:<128 hex digits>", source=source, path=path
    )


def hasher(digest: str) -> hashlib._Hash:
    """Return a new hash object for the digest's algorithm."""
    return hashlib.new(digest.partition(":")[0], usedforsecurity=True)


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class VerifiedReader:
    """Reads a blob, and compares its size and digest at its end.

    Args:
        raw: The source of the bytes; it is closed with this reader.
        digest: The expected digest.
        size: The expected size in bytes; None where it is unknown (the layers of a docker-archive).
        source: The blob's name in errors.
    """

    def __init__(self, raw: ByteReader, digest: str, size: int | None, *, source: str) -> None:
        self._raw = raw
        self._digest = digest
        self._size = size
        self._source = source
        self._hash = hasher(digest)
        self.position = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, or all that are left.

        Raises:
            InvalidImage: There are more or fewer bytes than expected, or the digest differs.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        data = self._raw.read(size)
        self.position += len(data)
        if self._size is not None and self.position > self._size:
            raise InvalidImage(f"more than the {self._size} bytes that its descriptor gives", source=self._source)
        if data:
            self._hash.update(data)
        elif size:
            self._finish()
        return data

    def drain(self) -> None:
        """Read to the end, so that everything is verified."""
        while self.read(CHUNK):
            pass

    def _finish(self) -> None:
        if self._size is not None and self.position != self._size:
            raise InvalidImage(
                f"{self.position} bytes; its descriptor gives {self._size}", source=self._source, hint=_DAMAGED
            )
        found = f"{self._digest.partition(':')[0]}:{self._hash.hexdigest()}"
        if found != self._digest:
            raise InvalidImage(f"hashes to {found}; expected {self._digest}", source=self._source, hint=_DAMAGED)

    def close(self) -> None:
        """Close the source."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_DAMAGED = "The image is damaged or was tampered with: fetch or export it again."
