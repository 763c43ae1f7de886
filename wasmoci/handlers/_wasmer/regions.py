"""Lists the parts of the guest's memory that each function of WASI reads and writes.

The host's functions work on a copy of the memory (:class:`Mirror`); so what they read is fetched before a call, and what they
wrote is sent back after it, when it succeeded.
"""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple, TypeAlias

_SIZE = struct.Struct("<I")
_IOVEC = struct.Struct("<II")
_PAGE = 65536
_U32 = 0xFFFF_FFFF

Span: TypeAlias = "tuple[int, int]"
"""An address and a size, inside the memory."""


class Fixed(NamedTuple):
    """A number of bytes at the address in a parameter."""

    address: int
    size: int


class Counted(NamedTuple):
    """Records at an address; another parameter gives their number."""

    address: int
    number: int
    record: int = 1


class Used(NamedTuple):
    """Records at an address; their number is what the function itself has written to another address."""

    address: int
    number: int
    record: int = 1


class Vectors(NamedTuple):
    """An array of vectors and their buffers; ``used`` is where the function has written how many bytes of them it filled."""

    address: int
    number: int
    used: int | None = None
    record: int = _IOVEC.size


class Text(NamedTuple):
    """Pointers to strings, and the strings; ``environment`` tells which."""

    pointers: int
    strings: int
    environment: bool


class Access(NamedTuple):
    """The memory that one function reads and writes; numbers are the positions of parameters."""

    reads: tuple[Counted | Vectors, ...] = ()
    writes: tuple[Fixed | Counted | Used | Vectors | Text, ...] = ()


_NOTHING = Access()
ACCESS: dict[str, Access] = {
    "args_get": Access((), (Text(0, 1, environment=False),)),
    "args_sizes_get": Access((), (Fixed(0, 4), Fixed(1, 4))),
    "environ_get": Access((), (Text(0, 1, environment=True),)),
    "environ_sizes_get": Access((), (Fixed(0, 4), Fixed(1, 4))),
    "clock_res_get": Access((), (Fixed(1, 8),)),
    "clock_time_get": Access((), (Fixed(2, 8),)),
    "fd_fdstat_get": Access((), (Fixed(1, 24),)),
    "fd_filestat_get": Access((), (Fixed(1, 64),)),
    "fd_pread": Access((Counted(1, 2, 8),), (Vectors(1, 2, 4), Fixed(4, 4))),
    "fd_prestat_get": Access((), (Fixed(1, 8),)),
    "fd_prestat_dir_name": Access((), (Counted(1, 2),)),
    "fd_pwrite": Access((Vectors(1, 2),), (Fixed(4, 4),)),
    "fd_read": Access((Counted(1, 2, 8),), (Vectors(1, 2, 3), Fixed(3, 4))),
    "fd_readdir": Access((), (Used(1, 4), Fixed(4, 4))),
    "fd_seek": Access((), (Fixed(3, 8),)),
    "fd_tell": Access((), (Fixed(1, 8),)),
    "fd_write": Access((Vectors(1, 2),), (Fixed(3, 4),)),
    "path_create_directory": Access((Counted(1, 2),)),
    "path_filestat_get": Access((Counted(2, 3),), (Fixed(4, 64),)),
    "path_filestat_set_times": Access((Counted(2, 3),)),
    "path_link": Access((Counted(2, 3), Counted(5, 6))),
    "path_open": Access((Counted(2, 3),), (Fixed(8, 4),)),
    "path_readlink": Access((Counted(1, 2),), (Used(3, 5), Fixed(5, 4))),
    "path_remove_directory": Access((Counted(1, 2),)),
    "path_rename": Access((Counted(1, 2), Counted(4, 5))),
    "path_symlink": Access((Counted(0, 1), Counted(3, 4))),
    "path_unlink_file": Access((Counted(1, 2),)),
    "poll_oneoff": Access((Counted(0, 2, 48),), (Used(1, 3, 32), Fixed(3, 4))),
    "random_get": Access((), (Counted(0, 1),)),
    "sock_accept": Access((), (Fixed(2, 4),)),
    "sock_recv": Access((Counted(1, 2, 8),), (Vectors(1, 2, 4), Fixed(4, 4), Fixed(5, 2))),
    "sock_send": Access((Vectors(1, 2),), (Fixed(4, 4),)),
}


def reads_of(name: str) -> tuple[Counted | Vectors, ...]:
    """What a function reads; each has the parameters ``address`` and ``number``, and the size of a record."""
    return ACCESS.get(name, _NOTHING).reads


class Mirror:
    """A copy of the guest's memory, valid where it was fetched for the current call.

    Args:
        arguments: How many bytes each argument takes in the guest's memory.
        variables: How many bytes each variable takes.
    """

    def __init__(self, *, arguments: list[int], variables: list[int]) -> None:
        self._texts = {False: arguments, True: variables}
        self._bytes: memoryview = memoryview(b"")

    def resize(self, pages: int) -> None:
        """Resize the copy to the guest's size; untouched pages take no memory."""
        if pages * _PAGE != len(self._bytes):
            self._bytes = memoryview(mmap.mmap(-1, pages * _PAGE)) if pages else memoryview(b"")

    def view(self) -> memoryview:
        """Return the whole copy, for the host functions."""
        return self._bytes

    def read(self, name: str, arguments: tuple[int, ...]) -> list[Span]:
        """Return the regions to fetch first for a call."""
        spans = []
        for item in reads_of(name):
            spans += self._span(arguments[item.address], item.record * (arguments[item.number] & _U32))
        return spans

    def read_next(self, name: str, arguments: tuple[int, ...]) -> list[Span]:
        """Return the regions to fetch next, which the vectors fetched first point to."""
        spans: list[Span] = []
        for item in reads_of(name):
            if isinstance(item, Vectors):
                for address, size in self._vectors(arguments[item.address], arguments[item.number]):
                    spans += self._span(address, size)
        return spans

    def written(self, name: str, arguments: tuple[int, ...]) -> list[Span]:
        """Return the regions that a successful call has written."""
        spans: list[Span] = []
        for item in ACCESS.get(name, _NOTHING).writes:
            if isinstance(item, Fixed):
                spans += self._span(arguments[item.address], item.size)
            elif isinstance(item, Counted):
                spans += self._span(arguments[item.address], item.record * (arguments[item.number] & _U32))
            elif isinstance(item, Used):
                spans += self._span(arguments[item.address], item.record * self._number(arguments[item.number]))
            elif isinstance(item, Vectors):
                spans += self._filled(item, arguments)
            else:
                lengths = self._texts[item.environment]
                spans += self._span(arguments[item.pointers], _SIZE.size * len(lengths))
                spans += self._span(arguments[item.strings], sum(lengths))
        return spans

    def advance(self, address: int, count: int, written: int) -> bool:
        """Remove written bytes from the beginning of buffers; return whether nothing is left.

        Args:
            address: Of the vectors.
            count: How many.
            written: The address of how many bytes were written.
        """
        done = self._number(written)
        left = False
        for position, (start, size) in enumerate(self._vectors(address, count)):
            taken = min(size, done)
            done -= taken
            left = left or taken < size
            _IOVEC.pack_into(self._bytes, (address & _U32) + _IOVEC.size * position, start + taken, size - taken)
        return not left

    def _filled(self, item: Vectors, arguments: tuple[int, ...]) -> list[Span]:
        spans: list[Span] = []
        left = 0 if item.used is None else self._number(arguments[item.used])
        for address, size in self._vectors(arguments[item.address], arguments[item.number]):
            spans += self._span(address, min(size, left))
            left -= min(size, left)
        return spans

    def _vectors(self, address: int, count: int) -> list[Span]:
        spans = self._span(address, _IOVEC.size * (count & _U32))
        return [vector for start, size in spans for vector in _IOVEC.iter_unpack(self._bytes[start : start + size])]

    def _number(self, address: int) -> int:
        number: int = _SIZE.unpack_from(self._bytes, address & _U32)[0]
        return number

    def _span(self, address: int, size: int) -> list[Span]:
        """The span, or none when it isn't inside the memory: the function refuses it by itself."""
        start = address & _U32
        return [(start, size)] if size and start + size <= len(self._bytes) else []
