"""Lists a directory in parts, with the kernel's own positions as the guest's cookies.

So a listing of any length needs constant memory, and a guest may continue at any cookie, even after entries were added
or removed.
"""

from __future__ import annotations

import os
import struct

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import DIRENT, Filetype
from wasmoci.wasi.filestat import filetype
from wasmoci.wasi.memory import check_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.wasi.directory import Layer

_PIECE = 1 << 15  # bytes of the kernel's records that are read at once
_RECORD = struct.Struct("=QqHB")  # struct linux_dirent64, up to the name
_OWN = 1 << 63  # marks the cookies of our own entries; the kernel's positions are never negative
_UNKNOWN = 0  # the type of an entry on a file system that doesn't provide it
_TYPES = {
    2: Filetype.CHARACTER_DEVICE,
    4: Filetype.DIRECTORY,
    6: Filetype.BLOCK_DEVICE,
    8: Filetype.REGULAR_FILE,
    10: Filetype.SYMBOLIC_LINK,
}


class Listing:
    """The listing of one open directory, which uses the descriptor's position.

    Args:
        fd: The host's descriptor, open to read.
        mounted: What is mounted in the directory, by name.
    """

    __slots__ = ("_at", "_data", "_fd", "_last", "_mounted", "_starts", "_wanted")

    def __init__(self, fd: int, mounted: dict[bytes, Layer]) -> None:
        self._fd = fd
        self._mounted = mounted
        self._begin()

    def read(self, cookie: int, where: memoryview) -> int:
        """Write the entries after a cookie in the guest's format, truncated to the buffer; return the number of bytes.

        Raises:
            Refusal: ``ILSEQ`` for a name that isn't UTF-8.
            OSError: The kernel reported an error.
        """
        if cookie not in self._starts or cookie == 0:
            self._go_to(cookie)
        start = self._starts.get(cookie)
        if start is None:  # the cookie was never issued
            return 0
        done = 0
        while True:
            piece = self._data[start : start + len(where) - done]
            where[done : done + len(piece)] = piece
            done += len(piece)
            start = 0
            if done == len(where) or not self._advance():
                return done

    def _go_to(self, cookie: int) -> None:
        if cookie == 0 or cookie & _OWN:
            self._begin()
        else:
            self._data, self._starts, self._last = b"", {cookie: 0}, cookie
            self._wanted = cookie

    def _begin(self) -> None:
        """Prepare the entries that the kernel doesn't list, or lists differently; restart the kernel's own."""
        # The parent's inode is the directory's own: the guest learns nothing about what is above a preopen.
        inode = os.fstat(self._fd).st_ino
        entries = [(b".", inode, Filetype.DIRECTORY), (b"..", inode, Filetype.DIRECTORY)]
        entries += [(name, layer.inode, layer.filetype) for name, layer in self._mounted.items()]
        self._last = 0
        self._keep([(_OWN | number, *entry) for number, entry in enumerate(entries, start=1)])
        self._at, self._wanted = -1, 0

    def _advance(self) -> bool:
        """Read the next part; return False at the end."""
        from wasmoci.wasi.syscalls import getdents  # noqa: PLC0415  ctypes, which a sub-interpreter may lack

        # Seeking to a position may fail on some file systems; reading on never does.
        if self._at != self._wanted:
            os.lseek(self._fd, self._wanted, os.SEEK_SET)
            self._at = self._wanted
        while records := getdents(self._fd, _PIECE):
            wanted = self._wanted
            try:
                entries = list(self._parse(records))
            except BaseException:
                self._at, self._wanted = -1, wanted
                raise
            if entries:
                self._keep(entries)
                return True
        return False

    def _parse(self, records: bytes) -> Iterator[tuple[int, bytes, int, int]]:
        """Yield the next cookie, the name, the inode and the ``$filetype`` of each entry."""
        start = 0
        while start < len(records):
            inode, following, length, kind = _RECORD.unpack_from(records, start)
            name = records[start + _RECORD.size : records.index(b"\0", start + _RECORD.size)]
            start += length
            self._at = self._wanted = following
            if name not in (b".", b"..") and name not in self._mounted:
                check_utf8(name)
                yield following, name, inode, self._filetype(name) if kind == _UNKNOWN else _TYPES.get(kind, 0)

    def _filetype(self, name: bytes) -> int:
        try:
            return filetype(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:  # removed meanwhile
            return Filetype.UNKNOWN

    def _keep(self, entries: list[tuple[int, bytes, int, int]]) -> None:
        pieces = []
        self._starts = {self._last: 0}
        start = 0
        for following, name, inode, kind in entries:
            piece = DIRENT.pack(following, inode, len(name), kind) + name
            pieces.append(piece)
            start += len(piece)
            self._starts[following] = start
        self._last = entries[-1][0]
        self._data = b"".join(pieces)
