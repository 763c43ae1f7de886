"""Reads a tar archive from a stream: USTAR, PAX and GNU, the dialects of Go's archive/tar.

The standard library's ``tarfile`` is not used for layers: it silently treats a damaged header in the middle of an
archive as its end, reads a PAX header of any declared size into memory, and otherwise depends on the patch level of
Python. Here every header is checked, everything that is held in memory is bounded, and the same archives are accepted
as by the container tools. Like them, it ignores global PAX headers.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import InvalidImage
from wasmoci.image.streams import sparse
from wasmoci.image.streams.byte_stream import BLOCK, Blocks, parse_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wasmoci.image.streams.digest import ByteReader

MAX_EXTENSION = 1 << 20
"""The maximum size of a PAX header or a long name in bytes, as in Go."""

XATTR = "SCHILY.xattr."
_SIGNED_MAX = 127
_MAX_DIGITS = 20


class Kind(Enum):
    """The kind of an entry."""

    FILE = "file"
    HARD_LINK = "hard link"
    SYMLINK = "symlink"
    CHARACTER_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    DIRECTORY = "directory"
    FIFO = "FIFO"


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER_DEVICE,
    b"4": Kind.BLOCK_DEVICE,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}


@attrs.frozen
class Entry:
    """One member of an archive.

    Args:
        name: The name in the archive, unchecked.
        kind: What it is.
        mode: Permission bits, with set-user-ID and the like.
        uid: Its owner.
        gid: Its group.
        mtime: Nanoseconds since the epoch.
        size: Bytes of the unpacked file.
        link: The target of a link; for a hard link the name of another entry.
        xattrs: Extended attributes.
        extents: For a sparse file, the offset and length of its data; all else is holes.
        offset: The offset of its data in the archive.
    """

    name: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    link: str
    xattrs: Mapping[str, bytes]
    extents: tuple[tuple[int, int], ...] | None
    offset: int


class TarReader:
    """Iterates over an archive's entries; the data of the current one is read with :meth:`data`.

    Args:
        raw: The archive; if it is seekable, skipped data is not read.
        source: Its name in errors.
    """

    def __init__(self, raw: ByteReader, *, source: str) -> None:
        self._blocks = Blocks(raw, source=source)
        self._source = source
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next()) is not None:
            yield entry

    def data(self) -> Iterator[memoryview]:
        """Yield the rest of the current entry's data; for a sparse file its extents one after the other."""
        while self._left:
            piece = self._blocks.piece(self._left)
            self._left -= len(piece)
            yield piece

    def _next(self) -> Entry | None:
        pax: dict[str, bytes] = {}
        sparse_map: list[bytes] = []
        long_name: bytes | None = None
        long_link: bytes | None = None
        while True:
            self._blocks.skip(self._left + self._padding)
            self._left = self._padding = 0
            header = self._header()
            if header is None:
                return None
            flag = header[156:157]
            if flag == b"x":
                pax, sparse_map = self._pax(self._extension(header))
            elif flag == b"g":
                self._extension(header)
            elif flag == b"L":
                long_name = self._extension(header).split(b"\0", 1)[0]
            elif flag == b"K":
                long_link = self._extension(header).split(b"\0", 1)[0]
            else:
                return self._entry(header, pax, sparse_map, long_name, long_link)

    def _header(self) -> bytes | None:
        header = self._blocks.block()
        if header is None:
            return None
        if not any(header):
            following = self._blocks.block()
            if following is None or not any(following):
                return None
            raise self._damaged("a block of zeros is followed by something else")
        unsigned = sum(header[:148]) + sum(header[156:]) + 8 * 0x20
        stored = self._number(header[148:156], "checksum")
        if stored != unsigned and stored != unsigned - 256 * sum(
            byte > _SIGNED_MAX for byte in header[:148] + header[156:]
        ):
            raise self._damaged(f"a header's checksum is {stored}; its bytes add up to {unsigned}")
        return header

    def _extension(self, header: bytes) -> bytes:
        size = self._number(header[124:136], "size")
        if not 0 <= size <= MAX_EXTENSION:
            raise self._damaged(f"an extended header of {size} bytes; at most {MAX_EXTENSION} are read")
        data = self._blocks.take(size)
        self._blocks.skip(-size % BLOCK)
        return data

    def _pax(self, data: bytes) -> tuple[dict[str, bytes], list[bytes]]:
        records: dict[str, bytes] = {}
        sparse_map: list[bytes] = []
        while data:
            digits, _, _ = data.partition(b" ")
            if not digits.isdigit() or len(digits) > len(str(MAX_EXTENSION)):
                raise self._damaged("a PAX record doesn't begin with its length")
            length = int(digits)
            if length > len(data):
                raise self._damaged("a PAX record is longer than its header")
            record, data = data[len(digits) + 1 : length], data[length:]
            key, equals, value = record[:-1].partition(b"=")
            if not equals or record[-1:] != b"\n" or not key or b"\0" in key:
                raise self._damaged("a PAX record isn't of the form 'length key=value'")
            name = os.fsdecode(key)
            if name in (sparse.OFFSET, sparse.NUMBYTES):
                sparse_map.append(value)
            elif name in ("path", "linkpath", sparse.NAME) and b"\0" in value:
                raise self._damaged(f"PAX {name} contains a NUL")
            else:
                records[name] = value
        return records, sparse_map

    def _entry(
        self,
        header: bytes,
        pax: dict[str, bytes],
        sparse_map: list[bytes],
        long_name: bytes | None,
        long_link: bytes | None,
    ) -> Entry:
        flag = header[156:157]
        kind = _KINDS.get(flag)
        name = long_name or pax.get(sparse.NAME) or pax.get("path") or _name(header)
        if kind is None:
            raise self._damaged(f"{os.fsdecode(name)!r} is of the unknown type {flag!r}")
        if kind is Kind.FILE and name.endswith(b"/"):
            kind = Kind.DIRECTORY
        stored = self._pax_number(pax, "size", header[124:136])
        if stored < 0:
            raise self._damaged(f"{os.fsdecode(name)!r} has a negative size")
        if kind is not Kind.FILE:
            stored = 0
        self._left, self._padding = stored, -stored % BLOCK
        size, extents = stored, None
        if kind is Kind.FILE:
            found = sparse.read_map(self._blocks, header, pax, sparse_map, stored, source=self._source)
            if found is not None:
                size, extents, self._left = found
        return Entry(
            name=os.fsdecode(name),
            kind=kind,
            mode=self._number(header[100:108], "mode") & 0o7777,
            uid=self._pax_number(pax, "uid", header[108:116]),
            gid=self._pax_number(pax, "gid", header[116:124]),
            mtime=self._mtime(pax.get("mtime"), header),
            size=size,
            link=os.fsdecode(long_link or pax.get("linkpath") or header[157:257].split(b"\0", 1)[0]),
            xattrs={key[len(XATTR) :]: value for key, value in pax.items() if key.startswith(XATTR)},
            extents=extents,
            offset=self._blocks.position,
        )

    def _pax_number(self, pax: Mapping[str, bytes], key: str, field: bytes) -> int:
        text = pax.get(key)
        if not text:
            return self._number(field, key)
        if not text.isdigit() or len(text) > _MAX_DIGITS:
            raise self._damaged(f"PAX {key} is {text[:40]!r}; expected a number")
        return int(text)

    def _mtime(self, text: bytes | None, header: bytes) -> int:
        if not text:
            return self._number(header[136:148], "mtime") * 10**9
        whole, _, fraction = text.partition(b".")
        digits = whole.removeprefix(b"-")
        if not digits.isdigit() or len(digits) > _MAX_DIGITS or (fraction and not fraction.isdigit()):
            raise self._damaged(f"PAX mtime is {text[:40]!r}; expected seconds")
        nanoseconds = int(digits) * 10**9 + int(fraction[:9].ljust(9, b"0") or 0)
        return -nanoseconds if whole.startswith(b"-") else nanoseconds

    def _number(self, field: bytes, what: str) -> int:
        number = parse_number(field)
        if number is None:
            raise self._damaged(f"a header's {what} is {field!r}; expected an octal number")
        return number

    def _damaged(self, message: str) -> InvalidImage:
        return InvalidImage(
            f"damaged tar archive: {message}", source=self._source, path=f"byte {self._blocks.position}"
        )


def _name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] != b"ustar\0":
        return name  # GNU and version 7 use the bytes of USTAR's prefix for other purposes
    end = 476 if header[508:512] == b"tar\0" else 500
    prefix = header[345:end].split(b"\0", 1)[0]
    return prefix + b"/" + name if prefix else name
