"""Reads the elements of the binary format, and raises ``InvalidModule`` with the offset of any damage."""

from __future__ import annotations

import re

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidModule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.wasm.model import Feature

# The limits of what is kept in memory, one object each, and of what is only skipped. No real module comes near the
# first, and no engine accepts more of the second; they bound the cost of a hostile module.
MAX_KEPT = 100_000
MAX_COUNT = 1_000_000

_LEB32 = re.compile(rb"[\x80-\xff]{0,4}[\x00-\x7f]")


class Reader:
    """Reads the elements of the binary format from ``data[pos:end]``.

    Args:
        data: The whole file, so that positions are offsets in it.
        pos: Where to begin.
        end: Where to stop; reading past it is an error.
        source: The file's name, for messages.
        where: The name of this part of the file, for messages ("the import section").
    """

    __slots__ = ("data", "end", "features", "pos", "source", "where")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None, *, source: str | None, where: str) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end
        self.source = source
        self.where = where
        self.features: set[Feature] = set()

    def fail(self, message: str, *, at: int | None = None) -> InvalidModule:
        """Return the error to raise for a problem at an offset, by default the current position."""
        return InvalidModule(f"{self.where}: {message}", source=self.source, offset=self.pos if at is None else at)

    def part(self, size: int, where: str) -> Reader:
        """Return a reader of the next ``size`` bytes, and skip them; both readers record features in the same set."""
        start = self.pos
        self.skip(size)
        part = Reader(self.data, start, self.pos, source=self.source, where=where)
        part.features = self.features
        return part

    @property
    def left(self) -> int:
        """The number of bytes until the end."""
        return self.end - self.pos

    def skip(self, size: int) -> None:
        """Skip ``size`` bytes."""
        if size > self.end - self.pos:
            raise self.fail(f"ends after {self.left} bytes where {size} were expected")
        self.pos += size

    def byte(self) -> int:
        """One byte."""
        if self.pos >= self.end:
            raise self.fail("ends too early")
        value = self.data[self.pos]
        self.pos += 1
        return value

    def peek(self) -> int:
        """Return the next byte without consuming it."""
        if self.pos >= self.end:
            raise self.fail("ends too early")
        return self.data[self.pos]

    def unsigned(self, bits: int = 32) -> int:
        """Read an unsigned LEB128 number of at most ``bits`` bits."""
        start, value, shift = self.pos, 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004
                break
            if shift >= bits:
                raise self.fail(f"a number is written in more bytes than {bits} bits take", at=start)
        if value >> bits:
            raise self.fail(f"a number does not fit into {bits} bits", at=start)
        return value

    def signed(self, bits: int) -> int:
        """Read a signed LEB128 number of at most ``bits`` bits."""
        start, value, shift = self.pos, 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004
                break
            if shift >= bits:
                raise self.fail(f"a number is written in more bytes than {bits} bits take", at=start)
        if value >> (shift - 1):
            value -= 1 << shift
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise self.fail(f"a number does not fit into {bits} bits", at=start)
        return value

    def skip_numbers(self, count: int) -> None:
        """Skip ``count`` 32-bit LEB128 numbers, quickly where they have one byte each."""
        if self.data[self.pos : min(self.pos + count, self.end)].isascii():
            self.skip(count)
            return
        pos, match = self.pos, _LEB32.match
        for _ in range(count):
            found = match(self.data, pos, self.end)
            if found is None:
                self.pos = pos
                raise self.fail("expected a number of at most 5 bytes")
            pos = found.end()
        self.pos = pos

    def count(self, most: int = MAX_COUNT) -> int:
        """Read the length of a vector. At most ``most`` elements, of a byte or more, have to fit into the rest."""
        start = self.pos
        count = self.unsigned()
        if count > self.left:
            raise self.fail(f"announces {count} entries in {self.left} bytes", at=start)
        if count > most:
            raise self.fail(f"announces {count} entries; at most {most} are supported", at=start)
        return count

    def parts(self) -> Iterator[int]:
        """Count the sections of a file until its end, and at most :data:`MAX_KEPT` of them."""
        for number in range(MAX_KEPT):
            if not self.left:
                return
            yield number
        if self.left:
            raise self.fail(f"is made of more than {MAX_KEPT} sections")

    def name(self) -> str:
        """Read a name: its length in bytes, then UTF-8."""
        size = self.unsigned()
        start = self.pos
        self.skip(size)
        try:
            return self.data[start : self.pos].decode()
        except UnicodeDecodeError as error:
            raise self.fail("a name is not UTF-8", at=start + error.start) from None

    def finish(self) -> None:
        """Check that nothing is left."""
        if self.pos != self.end:
            raise self.fail(f"{self.left} bytes are left over after its last entry")
