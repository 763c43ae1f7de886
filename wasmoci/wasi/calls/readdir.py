"""Implements ``fd_readdir``: listing a directory in parts as large as the guest's buffer."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import SIZE, U64, Errno, Rights
from wasmoci.wasi.errno import FAILURES, errno_of
from wasmoci.wasi.files import Directory
from wasmoci.wasi.listing import Listing
from wasmoci.wasi.memory import region

if TYPE_CHECKING:
    from wasmoci.wasi.host import Host

#: The number of listings whose position is cached. Any other is found again by its cookie.
_KEPT = 16


class Readdir:
    """Listing directories."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._get = host.table.get
        self._recent: list[Directory] = []  # the directories with a listing, the latest one at the end

    def fd_readdir(self, fd: int, buf: int, buf_len: int, cookie: int, size: int) -> int:
        """Write directory entries, the last one truncated to the buffer, and their size in bytes.

        A cookie is the kernel's position in the directory. It stays valid when entries are added or removed; whether
        the listing shows these is unspecified.
        """
        try:
            view = self._host.view()
            where = region(view, buf, buf_len)
            result = region(view, size, SIZE.size)
            entry = self._get(fd, Rights.FD_READDIR)
            if not isinstance(entry, Directory):
                return Errno.BADF
            SIZE.pack_into(result, 0, self._listing(entry).read(cookie & U64, where))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _listing(self, directory: Directory) -> Listing:
        if directory.listing is None:
            mounted = directory.resolver.tree.mounted_in(directory.place.position)
            directory.listing = Listing(directory.place.fd, mounted)
        if not self._recent or self._recent[-1] is not directory:
            if directory in self._recent:
                self._recent.remove(directory)
            self._recent.append(directory)
            if len(self._recent) > _KEPT:
                self._recent.pop(0).listing = None
        return directory.listing
