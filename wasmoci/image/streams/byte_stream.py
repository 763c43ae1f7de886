"""Reads the blocks of a tar archive from a stream: exact sizes, pieces without copying, and skipping."""

from __future__ import annotations

import io
from typing import cast

from wasmoci.errors import InvalidImage
from wasmoci.image.streams.digest import CHUNK, ByteReader

BLOCK = 512


class Blocks:
    """Reads a stream in chunks, and returns the requested sizes.

    Args:
        raw: The stream. A seekable file has to be at its beginning.
        source: Its name in errors.
    """

    def __init__(self, raw: ByteReader, *, source: str) -> None:
        self._raw = raw
        self._source = source
        self._chunk = memoryview(b"")
        self.position = 0
        seekable = isinstance(raw, io.IOBase) and raw.seekable()
        self._file = cast("io.BufferedIOBase", raw) if seekable else None
        self._end = 0
        if self._file is not None:
            self._end = self._file.seek(0, io.SEEK_END)
            self._file.seek(0)

    def block(self) -> bytes | None:
        """Return the next 512 bytes, or None at the end of the stream."""
        if not self._chunk and not self._refill():
            return None
        return self.take(BLOCK)

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            InvalidImage: The stream ends too early.
        """
        if size <= len(self._chunk):
            data = bytes(self._chunk[:size])
            self._chunk = self._chunk[size:]
            self.position += size
            return data
        pieces = []
        while size:
            piece = self.piece(size)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def piece(self, most: int) -> memoryview:
        """Return some of the next ``most`` bytes, at least one, without copying.

        Raises:
            InvalidImage: The stream ends here.
        """
        if not self._chunk and not self._refill():
            raise InvalidImage("the tar archive ends in the middle", source=self._source, path=f"byte {self.position}")
        piece = self._chunk[:most]
        self._chunk = self._chunk[len(piece) :]
        self.position += len(piece)
        return piece

    def skip(self, size: int) -> None:
        """Skip ``size`` bytes, by seeking where that is possible.

        Raises:
            InvalidImage: The stream ends too early.
        """
        if self._file is not None and size > len(self._chunk):
            if self.position + size > self._end:
                raise InvalidImage("the tar archive ends in the middle", source=self._source, path=f"byte {self._end}")
            self.position += size
            self._chunk = memoryview(b"")
            self._file.seek(self.position)
            return
        while size:
            size -= len(self.piece(size))

    def _refill(self) -> bool:
        # In a seekable file only headers are read, with small reads, so that skipping is worth it.
        self._chunk = memoryview(self._raw.read(CHUNK if self._file is None else 16 * BLOCK))
        return bool(self._chunk)


def parse_number(field: bytes) -> int | None:
    """Parse a number of a header: octal digits, or base 256 as GNU writes larger numbers."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=True)
        return value + (1 << (8 * len(field) - 1)) if value < 0 and not field[0] & 0x40 else value
    digits = field.strip(b" \0")
    if not digits:
        return 0
    digits = digits.split(b"\0", 1)[0].rstrip(b" ")
    if any(byte not in b"01234567" for byte in digits):
        return None
    return int(digits, 8)
