"""Reads maps of sparse files in tar archives: old GNU and PAX 0.0, 0.1, 1.0 (GNU tar, "Storing Sparse Files")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.errors import InvalidImage
from wasmoci.image.streams.byte_stream import BLOCK, Blocks, parse_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OFFSET = "GNU.sparse.offset"
NUMBYTES = "GNU.sparse.numbytes"
NAME = "GNU.sparse.name"
_MAX_EXTENTS = 1 << 16
_MAX_DIGITS = 20

Extents = tuple[tuple[int, int], ...]


def read_map(
    blocks: Blocks, header: bytes, pax: Mapping[str, bytes], pairs: Sequence[bytes], stored: int, *, source: str
) -> tuple[int, Extents, int] | None:
    """Read the positions of the data of a sparse file.

    Args:
        blocks: The archive, at the file's data; one form stores the map there.
        header: The file's header.
        pax: Its PAX records.
        pairs: The repeated records of the first PAX form, in order.
        stored: The number of bytes in the archive for the file, including the map if it is stored there.
        source: The archive's name in errors.

    Returns:
        The file's size, its extents, and the number of bytes of data to read; None when the file is not sparse.

    Raises:
        InvalidImage: The map is inconsistent.
    """
    before = blocks.position
    if header[156:157] == b"S":
        numbers, size = list(_old_map(blocks, header, source)), _octal(header[483:495], source)
        before = blocks.position  # the old form's extra blocks are not part of the file's size
    elif pax.get("GNU.sparse.major") == b"1":
        numbers, size = _map_in_data(blocks, stored, source), _decimal(pax.get("GNU.sparse.realsize", b""), source)
    elif "GNU.sparse.map" in pax or pairs:
        items = pax["GNU.sparse.map"].split(b",") if "GNU.sparse.map" in pax else pairs
        numbers = [_decimal(item, source) for item in items if item]
        size = _decimal(pax.get("GNU.sparse.size", b""), source)
    else:
        return None
    left = stored - (blocks.position - before)
    extents = _checked(numbers, size, left, source)
    return size, extents, left


def _checked(numbers: Sequence[int], size: int, left: int, source: str) -> Extents:
    if len(numbers) % 2 or len(numbers) > 2 * _MAX_EXTENTS:
        raise _wrong(f"{len(numbers)} numbers", source)
    extents = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    end = 0
    for offset, length in extents:
        if offset < end:
            raise _wrong("extents that overlap", source)
        end = offset + length
    if end > size:
        raise _wrong(f"data up to byte {end} of a file of {size}", source)
    if sum(length for _, length in extents) != left:
        raise _wrong(f"extents that don't add up to the {left} bytes stored", source)
    return extents


def _old_map(blocks: Blocks, header: bytes, source: str) -> Iterator[int]:
    area, more, count = header[386:482], header[482], 0
    while True:
        for start in range(0, len(area), 24):
            pair = area[start : start + 24]
            if not pair[0]:
                break
            yield _octal(pair[:12], source)
            yield _octal(pair[12:], source)
        count += len(area) // 24
        if not more:
            return
        if count > _MAX_EXTENTS:
            raise _wrong(f"more than {_MAX_EXTENTS} extents", source)
        block = blocks.take(BLOCK)
        area, more = block[:504], block[504]


def _map_in_data(blocks: Blocks, stored: int, source: str) -> list[int]:
    numbers: list[int] = []
    rest, wanted = b"", None
    while wanted is None or len(numbers) < wanted:
        if stored < BLOCK:
            raise _wrong("a map longer than the file", source)
        stored -= BLOCK
        *lines, rest = (rest + blocks.take(BLOCK)).split(b"\n")
        if len(rest) > BLOCK:
            raise _wrong("a map without line ends", source)
        for line in lines:
            if wanted is None:
                wanted = 2 * _decimal(line, source)
                if wanted > 2 * _MAX_EXTENTS:
                    raise _wrong(f"more than {_MAX_EXTENTS} extents", source)
            elif len(numbers) < wanted:
                numbers.append(_decimal(line, source))
    return numbers


def _decimal(text: bytes, source: str) -> int:
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise _wrong(f"{text[:40]!r} for a number", source)
    return int(text)


def _octal(field: bytes, source: str) -> int:
    number = parse_number(field)
    if number is None or number < 0:
        raise _wrong(f"{field!r} for a number", source)
    return number


def _wrong(what: str, source: str) -> InvalidImage:
    return InvalidImage(f"damaged tar archive: a sparse file's map has {what}", source=source)
