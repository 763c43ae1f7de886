"""Dispatches wasm3's calls of host functions: one C callback serves all guests and finds the function that was imported.

A call is answered, or it traps: see :mod:`wasmoci.handlers._callback_entries`.
"""

from __future__ import annotations

import ctypes
import itertools
import struct

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._callback_entries import Entry, Marked, addresses
from wasmoci.handlers._wasm3.library import ImportContext, RawCall

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from wasmoci.wasi import Function

_NUMBER = 20  # bits of what an import is known by; the others are the guest's
_SLOTS = {"i32": "i4x", "i64": "q"}  # a value on wasm3's stack takes 8 bytes
# A result takes 4 of them, and the mark the others.
_MARK_AT, _MARK = 4, 0x6B6F_2121
_ANSWER = struct.Struct("<II")
_NO_ANSWER = bytes(_ANSWER.size)
_HOST_FAILED = ctypes.create_string_buffer(b"[trap] a function of its host has not answered")
HOST_FAILED = ctypes.addressof(_HOST_FAILED)
"""Where the text of the trap is that ends a guest in a host function, whatever the reason."""


class Abandoned(BaseException):
    """Raised in a guest's host call when its caller no longer waits for it."""


class Calls:
    """The host functions of one guest, which are registered for the duration of the context.

    Args:
        functions: What it imports, in order.

    Attributes:
        address: Where wasm3 says that the guest's memory is.
        raised: The first exception of a function, which has ended the guest. From then on each call ends it.
        abandoned: Whether the guest is to end at its next call.
    """

    def __init__(self, functions: Sequence[Function]) -> None:
        self.table = [_entry(function) for function in functions]
        self.address = 0
        self.raised: BaseException | None = None
        self.abandoned = False
        self._key = next(_keys)

    def __enter__(self) -> Calls:
        _guests[self._key] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del _guests[self._key]

    def number(self, index: int) -> int:
        """What is to be linked along with :data:`ENTRY`, for the import with this index."""
        return self._key << _NUMBER | index


def _entry(function: Function) -> tuple[Function, struct.Struct, int]:
    """A host function, the types of its parameters, and their position on the stack, which is after the results."""
    parameters = struct.Struct("<" + "".join(_SLOTS[kind] for kind in function.params))
    return function, parameters, 8 * len(function.results)


@ctypes.CFUNCTYPE(None, *RawCall._argtypes_)  # type: ignore[untyped-decorator]
def _called(_runtime: int, context: int, stack: int, address: int) -> None:
    guest = None
    try:
        number: int = ImportContext.from_address(context).userdata
        guest = _guests[number >> _NUMBER]
        if guest.abandoned:
            raise Abandoned  # noqa: TRY301  as what a host function raises
        if guest.raised is not None:
            return
        function, arguments, offset = guest.table[number & ((1 << _NUMBER) - 1)]
        guest.address = address
        errno = function.call(*arguments.unpack(ctypes.string_at(stack + offset, arguments.size)))
        ctypes.memmove(stack, _ANSWER.pack((errno or 0) & 0xFFFF_FFFF, _MARK), 8)
    except BaseException as error:  # noqa: BLE001  nothing may pass through C; it is raised behind the call
        ctypes.memmove(stack, _NO_ANSWER, 8)
        if guest is not None and guest.raised is None:
            guest.raised = error


_keys = itertools.count(1)
_guests: dict[int, Calls] = {}
ENTRY = RawCall(*addresses([Entry(_called, Marked.THIRD, _MARK_AT, _MARK, 0, HOST_FAILED)]))
"""The :data:`.library.RawCall` to link every import with; linked with the number 0 it traps."""
