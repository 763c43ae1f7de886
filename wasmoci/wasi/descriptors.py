"""What a guest has open: a table that finds a descriptor and checks its rights in one step.

It is the guest's account with the host as well. Each entry takes one descriptor of the process at most, and what is opened on the
way to it is closed before the call returns. A guest has so many entries and no more, and never the last descriptors of its process.
"""

from __future__ import annotations

import heapq
import os

from wasmoci.wasi.abi import Errno, Filetype, Rights
from wasmoci.wasi.errno import Refusal

MAX_DESCRIPTORS = 1024
"""How many descriptors a guest has at once, its streams and its directories included."""

RESERVED = 64
"""How many of the process's descriptors no guest takes; a quarter of them, where the process may have few."""


class Descriptor:
    """Something a guest has open.

    Args:
        filetype: What it is, as ``$filetype``.
        rights: What it may be used for.
        inheriting: What a descriptor may be used for that is opened through this one.
        flags: Its ``$fdflags``.
    """

    __slots__ = ("filetype", "flags", "inheriting", "rights")

    def __init__(self, filetype: int, rights: int, inheriting: int = 0, flags: int = 0) -> None:
        self.filetype = filetype
        self.rights = rights
        self.inheriting = inheriting
        self.flags = flags

    def refusal(self, right: int) -> int:
        """Give the errno for a use that the rights don't cover: ``NOTCAPABLE``, or what wasmtime says of this kind."""
        return Errno.BADF if right & (Rights.FD_READ | Rights.FD_WRITE) & ~self.rights else Errno.NOTCAPABLE

    def readv(self, buffers: list[memoryview]) -> int:  # noqa: ARG002
        """Read into buffers; give how many bytes it was."""
        raise Refusal(Errno.BADF)

    def writev(self, buffers: list[memoryview]) -> int:  # noqa: ARG002
        """Write buffers; give how many bytes it was."""
        raise Refusal(Errno.BADF)

    def fileno(self) -> int | None:
        """Give the host's descriptor to be polled, if there is one."""
        return None

    def close(self) -> None:
        """Give back what the host holds for it."""


class Table:
    """The descriptors of a guest by number.

    Args:
        limit: How many there may be at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        most = os.sysconf("SC_OPEN_MAX")  # the limit as it is now; -1 for none
        self._highest = most - min(RESERVED, most // 4) if most > 0 else None
        self._entries: dict[int, Descriptor] = {}
        self._free: list[int] = []  # a heap of the numbers below len(entries) + len(free)

    def get(self, fd: int, right: int) -> Descriptor:
        """Find a descriptor that may be used for something.

        Args:
            fd: The guest's number.
            right: All of the rights that the use needs; 0 for none.

        Raises:
            Refusal: ``BADF`` when there is none; else what :meth:`Descriptor.refusal` says.
        """
        entry = self._entries.get(fd)
        if entry is None:
            raise Refusal(Errno.BADF)
        if right & ~entry.rights:
            raise Refusal(entry.refusal(right))
        return entry

    def is_writable_file(self, fd: int) -> bool:
        """Tell whether a descriptor is a regular file that may be written."""
        entry = self._entries.get(fd)
        return entry is not None and entry.filetype == Filetype.REGULAR_FILE and bool(entry.rights & Rights.FD_WRITE)

    def add(self, entry: Descriptor) -> int:
        """Give a descriptor the lowest free number.

        Raises:
            Refusal: ``MFILE`` when there are too many; the descriptor is closed then.
        """
        if len(self._entries) >= self._limit:
            entry.close()
            raise Refusal(Errno.MFILE)
        fd = heapq.heappop(self._free) if self._free else len(self._entries)
        self._entries[fd] = entry
        return fd

    def check_room(self) -> None:
        """Refuse to open anything, with ``MFILE``, when there are too many."""
        if len(self._entries) >= self._limit:
            raise Refusal(Errno.MFILE)

    def check_host(self, fd: int) -> None:
        """Refuse a descriptor of the host, with ``MFILE``, when it is one of the process's last: the kernel gives the lowest."""
        if self._highest is not None and fd >= self._highest:
            raise Refusal(Errno.MFILE)

    def remove(self, fd: int) -> None:
        """Close a descriptor."""
        entry = self._entries.pop(fd, None)
        if entry is None:
            raise Refusal(Errno.BADF)
        heapq.heappush(self._free, fd)
        entry.close()

    def renumber(self, old: int, new: int) -> None:
        """Move a descriptor to the number of another, which is closed."""
        if old not in self._entries or new not in self._entries:
            raise Refusal(Errno.BADF)
        if old == new:
            return
        replaced = self._entries[new]
        self._entries[new] = self._entries.pop(old)
        heapq.heappush(self._free, old)
        replaced.close()

    def close(self) -> None:
        """Close every descriptor."""
        while self._entries:
            self._entries.popitem()[1].close()
        self._free.clear()
