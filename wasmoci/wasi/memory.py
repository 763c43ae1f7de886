"""Accesses the guest's linear memory, and reads the buffers and paths that untrusted pointers refer to."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.abi import IOVEC, U32, Errno
from wasmoci.wasi.errno import Refusal

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # sufficient at run time; importing typing takes milliseconds

#: The maximum number of buffers in one call; the limit of Linux for ``readv`` and ``writev``.
IOV_MAX = 1024

#: A path longer than this is refused unread; the limit of Linux, with its terminating NUL.
PATH_MAX = 4096


class Memory(Protocol):
    """The interface of an engine to a guest's memory.

    ``memory.grow`` may move the memory, so the view is fetched anew in each call of the guest and never kept.
    """

    def view(self) -> memoryview:
        """Return the whole current memory, writable, as bytes; an empty view when the guest has none."""


class NoMemory:
    """The memory of a guest that exports none, or that isn't bound yet: every pointer is out of bounds."""

    def view(self) -> memoryview:
        """Return an empty view."""
        return memoryview(bytearray())


def region(view: memoryview, pointer: int, length: int) -> memoryview:
    """Return a view of ``length`` bytes at ``pointer`` in the guest's memory.

    Raises:
        Refusal: ``FAULT`` when they are not all inside the memory.
    """
    start = pointer & U32
    end = start + (length & U32)
    if end > len(view):
        raise Refusal(Errno.FAULT)
    return view[start:end]


def buffers(view: memoryview, pointer: int, count: int) -> list[memoryview]:
    """Return the buffers of an array of ``$iovec`` or ``$ciovec``.

    Raises:
        Refusal: ``FAULT`` when the array or a buffer isn't inside the memory; ``INVAL`` when there are more than
            :data:`IOV_MAX` of them, or more bytes in total than a ``$size`` can hold.
    """
    pointer &= U32
    size = len(view)
    if count == 1:  # by far the most common
        start, length = IOVEC.unpack_from(view, pointer)
        end = start + length
        if end > size:
            raise Refusal(Errno.FAULT)
        return [view[start:end]]
    count &= U32
    if pointer + count * IOVEC.size > size:
        raise Refusal(Errno.FAULT)
    if count > IOV_MAX:
        raise Refusal(Errno.INVAL)
    result = []
    total = 0
    for start, length in IOVEC.iter_unpack(view[pointer : pointer + count * IOVEC.size]):
        if start + length > size:
            raise Refusal(Errno.FAULT)
        total += length
        result.append(view[start : start + length])
    if total > U32:
        raise Refusal(Errno.INVAL)
    return result


def path(view: memoryview, pointer: int, length: int) -> bytes:
    """Read a path from the guest's memory.

    Raises:
        Refusal: ``FAULT`` out of bounds, ``NAMETOOLONG`` from :data:`PATH_MAX` on, ``ILSEQ`` when it isn't UTF-8,
            ``INVAL`` with a NUL in it, ``NOENT`` when empty.
    """
    text = region(view, pointer, length)
    if len(text) >= PATH_MAX:
        raise Refusal(Errno.NAMETOOLONG)
    result = bytes(text)
    check_utf8(result)
    if b"\0" in result:
        raise Refusal(Errno.INVAL)
    if not result:
        raise Refusal(Errno.NOENT)
    return result


def check_utf8(text: bytes) -> None:
    """Refuse a name that isn't UTF-8, with ``ILSEQ``: every string of WASI is UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        raise Refusal(Errno.ILSEQ) from None
