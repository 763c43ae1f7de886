"""Allocates linear memories within a limit for all memories of a run together.

The limits of wasmtime's stores would hold each memory by itself, and tell nobody that they refused one. So the engine gets
its memory from here: address space without access, as much as the engine asks for, opened page by page as the guest grows.
"""

from __future__ import annotations

import ctypes
import errno
import os
from _thread import get_native_id

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._callback_entries import Entry, Marked, addresses, reader
from wasmoci.handlers._wasmtime.library import library
from wasmoci.handlers._wasmtime.prototypes import (
    NO_FINALIZER,
    finalizer_t,
    wasmtime_linear_memory_t,
    wasmtime_memory_creator_t,
    wasmtime_memory_get_callback_t,
    wasmtime_memory_grow_callback_t,
    wasmtime_new_memory_callback_t,
    without_result,
)
from wasmoci.handlers._wasmtime.run_state import instantiated
from wasmoci.handlers._wasmtime.traps import REFUSED

if TYPE_CHECKING:
    from typing import Any

    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.memory_account import MemoryAccount
    from wasmoci.handlers._wasmtime.run_state import Run

_PROT_NONE, _PROT_READ_WRITE = 0, 3
_MAP_PRIVATE, _MAP_ANONYMOUS, _MAP_NORESERVE = 0x02, 0x20, 0x4000
_UNBOUNDED = -1  # of memory, instances, memories
_TABLES, _TABLE_ELEMENTS, _ELEMENT = 32, 1 << 16, 8  # how many tables, of how many elements at least, of how many bytes

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_FAILED = ctypes.c_void_p(-1).value


class _Place(ctypes.Structure):
    """Where a linear memory is, as its engine reads it without Python, and the mark of the call-back that lets it grow."""

    _fields_ = (
        ("base", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
        ("capacity", ctypes.c_size_t),
        ("answered", ctypes.c_uint32),
    )


class _LinearMemory:
    """One linear memory: ``size`` accessible bytes at ``base``, of ``capacity``, in a mapping of ``length`` bytes."""

    def __init__(self, run: Run, account: MemoryAccount, size: int, capacity: int, guard: int) -> None:
        page = os.sysconf("SC_PAGESIZE")
        self.run = run
        self.place = _Place()
        self._capacity = -(-capacity // page) * page
        self._length = max(self._capacity + -(-guard // page) * page, page)
        flags = _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE
        self._base = _libc.mmap(None, self._length, _PROT_NONE, flags, -1, 0)
        if self._base == _FAILED:
            raise OSError(ctypes.get_errno(), "can't reserve address space for a memory")
        self._account = account
        self._size = 0
        try:
            self.grow(size)
        except BaseException:
            self.free()
            raise
        self.place.base, self.place.capacity = self._base, self._capacity

    def grow(self, size: int) -> None:
        """Grow it to a number of bytes.

        Raises:
            OSError: The system doesn't give them.
        """
        if size > self._capacity:
            raise OSError(errno.ENOMEM, "no address space left for the memory")
        if size > self._size and _libc.mprotect(self._base, size, _PROT_READ_WRITE) != 0:
            raise OSError(ctypes.get_errno(), "the system has no memory left")
        self._size = self.place.size = size

    def request(self, size: int) -> bool:
        """Grow it to a number of bytes; return False when the limit refuses."""
        if not self._account.book(size - self._size):
            return False
        self.grow(size)
        return True

    def interrupt(self) -> None:
        """See :meth:`MemoryAccount.interrupt`."""
        self._account.interrupt()

    def free(self) -> None:
        """Release it to the system."""
        _libc.munmap(self._base, self._length)


_ANSWERED = 1
_memories: dict[int, _LinearMemory] = {}


@without_result(wasmtime_memory_grow_callback_t)  # type: ignore[untyped-decorator]
def _grow(key: int, size: int) -> None:
    memory = _memories[key]
    try:
        if memory.request(size):
            memory.place.answered = _ANSWERED
    except OSError:
        pass  # the system has none, which the guest is told
    except BaseException as error:  # noqa: BLE001  nothing may pass through the engine
        memory.run.fail(error)
        memory.interrupt()


@finalizer_t  # type: ignore[untyped-decorator]
def _free(key: int) -> None:
    _memories.pop(key).free()


@without_result(wasmtime_new_memory_callback_t)  # type: ignore[untyped-decorator]
def _new(_data: int | None, kind: int, minimum: int, _maximum: int, reserved: int, guard: int, result: Any) -> None:
    run = instantiated[get_native_id()]
    try:
        account = run.memory
        if account is None or not account.book(minimum):
            return
        capacity = account.reserve(reserved, is_64=library.wasmtime_memorytype_is64(kind))
        memory = _LinearMemory(run, account, minimum, max(capacity, minimum), guard)
        key = ctypes.addressof(memory.place)
        _memories[key] = memory
        made = result[0]
        made.env, made.get_memory, made.grow_memory = key, _GET, _GROW
        made.finalizer = _free
    except OSError as error:
        run.reason = str(error)
    except BaseException as error:  # noqa: BLE001  nothing may pass through the engine
        run.fail(error)


_address = ctypes.cast(_free, ctypes.c_void_p).value or 0
_error = ctypes.cast(library.wasmtime_error_new, ctypes.c_void_p).value or 0
_message = ctypes.create_string_buffer(REFUSED.encode())
# A memory is made when its finalizer, the last that is said of it, is there.
_made, _grown = addresses(
    [
        Entry(
            _new,
            Marked.SEVENTH,
            wasmtime_linear_memory_t.finalizer.offset,
            _address & 0xFFFF_FFFF,
            _error,
            ctypes.addressof(_message),
        ),
        Entry(_grow, Marked.FIRST, _Place.answered.offset, _ANSWERED, _error, ctypes.addressof(_message)),
    ]
)
_GET, _GROW = wasmtime_memory_get_callback_t(reader()), wasmtime_memory_grow_callback_t(_grown)
_creator = wasmtime_memory_creator_t(env=None, new_memory=wasmtime_new_memory_callback_t(_made), finalizer=NO_FINALIZER)


def limit_tables(store: Owned, limit: int) -> None:
    """Bound what a guest's tables take, which is no linear memory: all of them at most as much again, or 16 MiB.

    Args:
        store: The guest's store.
        limit: Bytes of linear memory that the guest may have.
    """
    elements = max(_TABLE_ELEMENTS, limit // _ELEMENT // _TABLES)
    library.wasmtime_store_limiter(store.pointer, _UNBOUNDED, elements, _UNBOUNDED, _TABLES, _UNBOUNDED)


def use_accounts(config: int) -> None:
    """Make an engine allocate all linear memory through the account of the current run.

    Args:
        config: Its configuration, a ``wasm_config_t``.
    """
    library.wasmtime_config_host_memory_creator_set(config, ctypes.byref(_creator))
