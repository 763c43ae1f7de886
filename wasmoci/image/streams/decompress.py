"""Decompresses layers and archives while they are read: gzip, zstd or plain, distinguished by their first bytes.

A layer's media type gives its compression, but is often wrong in registries, so it is ignored; containers/image and
containerd look at the first bytes as well.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Any

from wasmoci.errors import ImageError, InvalidImage
from wasmoci.image.streams.digest import CHUNK, ByteReader

if TYPE_CHECKING:
    from wasmoci.image.streams.unpack_limits import Budget

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"  # the last three bytes of zstd's skippable frames, which may come first
_SKIPPABLE_FIRST = 5  # the upper four bits of their first byte
_INPUT = 256 << 10


class _Gzip:
    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)
        self.hungry = True

    def feed(self, data: bytes, size: int) -> bytes:
        made = self._object.decompress(self._object.unconsumed_tail + data, size)
        self.hungry = not self._object.unconsumed_tail and len(made) < size
        return made

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data


class _Zstd:
    def __init__(self) -> None:
        self._object = zstd_module().ZstdDecompressor()

    def feed(self, data: bytes, size: int) -> bytes:
        made: bytes = self._object.decompress(data, size)
        return made

    @property
    def hungry(self) -> bool:
        return bool(self._object.needs_input)

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        unused: bytes = self._object.unused_data
        return unused


def zstd_module() -> Any:
    """Return the standard library's zstd, or its backport.

    Raises:
        ImageError: Neither is installed.
    """
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415  only for zstd
        else:
            from backports import zstd  # noqa: PLC0415
    except ImportError:
        raise ImageError(
            "the image is compressed with zstd, which this Python can't read", hint="pip install 'wasmoci[image]'"
        ) from None
    return zstd


def is_compressed(head: bytes) -> bool:
    """Return whether a file is compressed with gzip or zstd, by its first four bytes."""
    return head.startswith((_GZIP, _ZSTD)) or (head[1:4] == _SKIPPABLE and head[0] >> 4 == _SKIPPABLE_FIRST)


class Decompressed:
    """Decompresses a blob, never more than requested at a time.

    Args:
        raw: The blob.
        source: Its name in errors.
        budget: The budget that the output is charged to.
    """

    def __init__(self, raw: ByteReader, *, source: str, budget: Budget) -> None:
        self._raw = raw
        self._source = source
        self._budget = budget
        self._pending = b""
        while len(self._pending) < len(_ZSTD) and (more := raw.read(_INPUT)):
            self._pending += more
        self._taken = len(self._pending)
        self._made = 0
        self._kind: type[_Gzip | _Zstd] | None = None
        if is_compressed(self._pending):
            self._kind = _Gzip if self._pending.startswith(_GZIP) else _Zstd
        self._stream: _Gzip | _Zstd | None = None

    def read(self, size: int = CHUNK, /) -> bytes:
        """Return up to ``size`` bytes; none at the end.

        Raises:
            InvalidImage: The compressed data is damaged or truncated.
            ImageLimitExceeded: The budget is exhausted.
        """
        data = self._plain(size) if self._kind is None else self._inflate(self._kind, size)
        self._made += len(data)
        self._budget.spend(len(data), source=self._source)
        self._budget.check_ratio(self._taken, self._made, source=self._source)
        return data

    def _plain(self, size: int) -> bytes:
        if self._pending:
            data, self._pending = self._pending[:size], self._pending[size:]
            return data
        data = self._raw.read(size)
        self._taken += len(data)
        return data

    def _inflate(self, kind: type[_Gzip | _Zstd], size: int) -> bytes:
        while True:
            if self._stream is None:
                if not self._pending and not self._refill():
                    return b""
                self._stream = kind()
            stream = self._stream
            if stream.hungry and not self._pending and not self._refill():
                raise InvalidImage("the compressed data ends in the middle", source=self._source)
            made = self._decompress(stream, size)
            if stream.eof:
                # Both formats allow several members or frames after each other.
                self._pending = stream.unused_data + self._pending
                self._stream = None
            if made:
                return made

    def _decompress(self, stream: _Gzip | _Zstd, size: int) -> bytes:
        data, self._pending = self._pending, b""
        try:
            return stream.feed(data, size)
        except zlib.error as error:
            raise InvalidImage(f"damaged gzip data: {error}", source=self._source) from None
        except zstd_module().ZstdError as error:
            raise InvalidImage(f"damaged zstd data: {error}", source=self._source) from None

    def _refill(self) -> bool:
        self._pending = self._raw.read(_INPUT)
        self._taken += len(self._pending)
        return bool(self._pending)

    def close(self) -> None:
        """Close the blob."""
        self._raw.close()
