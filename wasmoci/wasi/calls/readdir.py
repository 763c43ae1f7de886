"""``fd_readdir``: listing a directory, in pieces of the guest's choosing."""

from __future__ import annotations

import os

from wasmoci.wasi.abi import DIRENT, SIZE, U64, Errno, Filetype, Rights
from wasmoci.wasi.failure import FAILURES, errno_of
from wasmoci.wasi.files import Directory
from wasmoci.wasi.filestat import filetype
from wasmoci.wasi.memory import check_utf8, region

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasmoci.wasi.files import Listing
    from wasmoci.wasi.host import Host


class Readdir:
    """Listing directories."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._get = host.table.get

    def fd_readdir(self, fd: int, buf: int, buf_len: int, cookie: int, size: int) -> int:
        """Write directory entries, the last one cut where the buffer ends, and how many bytes they take.

        A cookie is the number of an entry. The directory is read when a listing begins, at cookie 0, and what comes
        and goes afterwards doesn't show until the next one begins.
        """
        try:
            view = self._host.view()
            where = region(view, buf, buf_len)
            result = region(view, size, SIZE.size)
            entry = self._get(fd, Rights.FD_READDIR)
            if not isinstance(entry, Directory):
                return Errno.BADF
            cookie &= U64
            if cookie == 0 or entry.listing is None:
                entry.listing = _list(entry)
            data, starts = entry.listing
            piece = data[starts[cookie] : starts[cookie] + len(where)] if cookie < len(starts) else b""
            where[: len(piece)] = piece
            SIZE.pack_into(result, 0, len(piece))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS


def _list(directory: Directory) -> Listing:
    """Read a whole directory, as the guest will get it."""
    place = directory.place
    own = os.fstat(place.fd).st_ino
    # The parent's inode is the directory's own: what is above a preopen is no business of the guest's.
    entries = [(b".", own, Filetype.DIRECTORY), (b"..", own, Filetype.DIRECTORY)]
    mounted = directory.resolver.namespace.mounted_in(place.position)
    entries += [(name, layer.inode, layer.filetype) for name, layer in mounted.items()]
    with os.scandir(place.fd) as found:
        for item in found:
            name = os.fsencode(item.name)
            check_utf8(name)
            if name not in mounted:
                entries.append((name, item.inode(), _filetype(item)))
    pieces = []
    starts = []
    start = 0
    for number, (name, inode, kind) in enumerate(entries, start=1):
        piece = DIRENT.pack(number, inode, len(name), kind) + name
        pieces.append(piece)
        starts.append(start)
        start += len(piece)
    return b"".join(pieces), starts


def _filetype(item: os.DirEntry[str]) -> int:
    if item.is_file(follow_symlinks=False):
        return Filetype.REGULAR_FILE
    if item.is_dir(follow_symlinks=False):
        return Filetype.DIRECTORY
    if item.is_symlink():
        return Filetype.SYMBOLIC_LINK
    try:
        return filetype(item.stat(follow_symlinks=False).st_mode)
    except FileNotFoundError:  # gone in the meantime
        return Filetype.UNKNOWN
