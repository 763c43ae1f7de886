"""Descriptors of open files and directories."""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import Errno, Filetype, Rights
from wasmoci.wasi.descriptors import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.wasi.directory import Layer, Location, Place, Position
    from wasmoci.wasi.listing import Listing
    from wasmoci.wasi.resolver import Resolver


class File(Descriptor):
    """A file, or a device or FIFO, that ``path_open`` opened.

    Args:
        fd: The host's descriptor, which holds the position too.
        read_only: The file belongs to something mounted read-only.
    """

    __slots__ = ("fd", "read_only")

    def __init__(self, fd: int, filetype: int, rights: int, inheriting: int, flags: int, *, read_only: bool) -> None:
        super().__init__(filetype, rights, inheriting, flags)
        self.fd = fd
        self.read_only = read_only

    def refusal(self, right: int) -> int:
        """Return the errno for using a file as a directory, or for a missing right."""
        if right & Rights.PATH_OPEN:
            return Errno.NOTDIR
        return Errno.BADF if right & ~Rights.FILE else super().refusal(right)

    def readv(self, buffers: list[memoryview]) -> int:
        """Read at the position, and move it."""
        return os.readv(self.fd, buffers)

    def writev(self, buffers: list[memoryview]) -> int:
        """Write at the position, or with ``APPEND`` at the end, and move it."""
        if len(buffers) == 1:  # saves a third of the time
            return os.write(self.fd, buffers[0])
        return os.writev(self.fd, buffers)

    def fileno(self) -> int:
        """Return the host's descriptor."""
        return self.fd

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


class Directory(Descriptor):
    """An open directory, from which paths are resolved.

    Args:
        place: The open directory.
        resolver: Resolves paths in its tree.
        guest_path: Its name for the guest, if it is preopened.
        fallback: The directory in which to look up paths that don't exist here; see
            :meth:`wasmoci.wasi.Preopen.within`.
    """

    __slots__ = ("_fallback", "guest_path", "listing", "place", "resolver")

    def __init__(
        self,
        place: Place,
        resolver: Resolver,
        rights: int,
        inheriting: int,
        *,
        guest_path: bytes | None = None,
        fallback: Place | None = None,
    ) -> None:
        super().__init__(Filetype.DIRECTORY, rights, inheriting)
        self.place = place
        self.resolver = resolver
        self.guest_path = guest_path
        self.listing: Listing | None = None
        self._fallback = fallback

    def refusal(self, right: int) -> int:
        """Return the errno for using a directory as a file, or for a missing right."""
        if right & ~Rights.DIRECTORY:
            return Errno.BADF
        # Older wasmtimes return PERM for truncating without the right to it; tests rely on that.
        return Errno.PERM if right & ~self.rights == Rights.PATH_FILESTAT_SET_SIZE else Errno.NOTCAPABLE

    def open(self, path: bytes, flags: int, *, follow: bool, mode: int = 0) -> tuple[int, Position, Layer]:
        """Open the file at a path, like :meth:`Resolver.open`."""
        try:
            return self.resolver.open(self.place, path, flags, follow=follow, mode=mode)
        except FileNotFoundError:
            if self._fallback is None:
                raise
            return self.resolver.open(self._fallback, path, flags, follow=follow, mode=mode)

    def locate(self, path: bytes, *, follow: bool = False) -> Location:
        """Locate an existing file, like :meth:`Resolver.locate`."""
        return self._search(lambda place: self.resolver.locate(place, path, follow=follow), existing=True)

    def locate_old(self, path: bytes) -> Location:
        """Locate a file to be removed or renamed, like :meth:`Resolver.locate_new`."""
        return self._search(lambda place: self.resolver.locate_new(place, path), existing=True)

    def locate_new(self, path: bytes) -> Location:
        """Locate a file to be created, like :meth:`Resolver.locate_new`."""
        return self._search(lambda place: self.resolver.locate_new(place, path), existing=False)

    def _search(self, find: Callable[[Place], Location], *, existing: bool) -> Location:
        if self._fallback is None:
            return find(self.place)
        try:
            location = find(self.place)
        except FileNotFoundError:
            return find(self._fallback)
        if not existing or location.exists():
            return location
        location.close()
        return find(self._fallback)

    def close(self) -> None:
        """Close the directory."""
        self.listing = None
        self.place.close()
