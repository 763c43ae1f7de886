"""The table of a guest's descriptors, which looks up a descriptor and checks its rights in one step.

It also limits what a guest uses of the host. Each entry takes at most one descriptor of the process, and what is opened
during a path's resolution is closed before the call returns. The number of entries is limited, and the last descriptors
of the process are never used.
"""

from __future__ import annotations

import heapq
import os

from wasmoci.wasi.abi import Errno, Rights
from wasmoci.wasi.errno import Refusal

MAX_DESCRIPTORS = 1024
"""The maximum number of a guest's descriptors, including its streams and directories."""

RESERVED = 64
"""The number of the process's descriptors that no guest may use; a quarter of them, where the process may have few."""


class Descriptor:
    """An entry of the table.

    Args:
        filetype: Its ``$filetype``.
        rights: The permitted operations.
        inheriting: The permitted operations of descriptors that are opened through this one.
        flags: Its ``$fdflags``.
    """

    __slots__ = ("filetype", "flags", "inheriting", "rights")

    def __init__(self, filetype: int, rights: int, inheriting: int = 0, flags: int = 0) -> None:
        self.filetype = filetype
        self.rights = rights
        self.inheriting = inheriting
        self.flags = flags

    def refusal(self, right: int) -> int:
        """Return the errno for a missing right: ``NOTCAPABLE``, or what wasmtime returns for this kind."""
        return Errno.BADF if right & (Rights.FD_READ | Rights.FD_WRITE) & ~self.rights else Errno.NOTCAPABLE

    def readv(self, buffers: list[memoryview]) -> int:  # noqa: ARG002
        """Read into buffers; return the number of bytes."""
        raise Refusal(Errno.BADF)

    def writev(self, buffers: list[memoryview]) -> int:  # noqa: ARG002
        """Write buffers; return the number of bytes."""
        raise Refusal(Errno.BADF)

    def fileno(self) -> int | None:
        """Return the host's descriptor to poll, if there is one."""
        return None

    def close(self) -> None:
        """Release the host's resources."""


class Table:
    """The descriptors of a guest, by number.

    Args:
        limit: The maximum number of descriptors.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        most = os.sysconf("SC_OPEN_MAX")  # the current limit; -1 for none
        self._highest = most - min(RESERVED, most // 4) if most > 0 else None
        self._entries: dict[int, Descriptor] = {}
        self._free: list[int] = []  # a heap of the numbers below len(entries) + len(free)

    def get(self, fd: int, right: int) -> Descriptor:
        """Return a descriptor, after checking its rights.

        Args:
            fd: The guest's number.
            right: All rights that the operation needs; 0 for none.

        Raises:
            Refusal: ``BADF`` when it isn't open; otherwise the result of :meth:`Descriptor.refusal`.
        """
        entry = self._entries.get(fd)
        if entry is None:
            raise Refusal(Errno.BADF)
        if right & ~entry.rights:
            raise Refusal(entry.refusal(right))
        return entry

    def add(self, entry: Descriptor) -> int:
        """Add a descriptor with the lowest free number, and return the number.

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
        """Refuse to open another descriptor, with ``MFILE``, when there are too many."""
        if len(self._entries) >= self._limit:
            raise Refusal(Errno.MFILE)

    def check_host(self, fd: int) -> None:
        """Refuse a descriptor of the host, with ``MFILE``, if its number shows that few are left in the process."""
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
