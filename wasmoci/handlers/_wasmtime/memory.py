"""Linear memory with a limit, for all the memories of a run together, and an account of what was refused.

The limits of wasmtime's stores would hold each memory by itself, and tell nobody that they refused one. So the engine gets
its memory from here: address space without access, as much as the engine asks for, opened page by page as the guest grows.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os

from wasmoci.handlers._wasmtime.calls import new_error
from wasmoci.handlers._wasmtime.library import library
from wasmoci.handlers._wasmtime.prototypes import (
    NO_FINALIZER,
    finalizer_t,
    wasmtime_memory_creator_t,
    wasmtime_memory_get_callback_t,
    wasmtime_memory_grow_callback_t,
    wasmtime_new_memory_callback_t,
)
from wasmoci.handlers._wasmtime.run import current_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wasmoci.handlers._wasmtime.library import Owned

_PROT_NONE, _PROT_READ_WRITE = 0, 3
_MAP_PRIVATE, _MAP_ANONYMOUS, _MAP_NORESERVE = 0x02, 0x20, 0x4000
_PATIENCE = 10_000  # refusals, after which a guest that goes on asking is ended
_LONGEST = 1 << 36  # bytes that a 64-bit memory can have, under a limit that is higher still
_UNBOUNDED = -1  # of memory, instances, memories
_TABLES, _TABLE_ELEMENTS, _ELEMENT = 32, 1 << 16, 8  # how many tables, of how many elements at least, of how many bytes

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_FAILED = ctypes.c_void_p(-1).value


class MemoryAccount:
    """What a run has of memory, and may have.

    Args:
        limit: Bytes of linear memory, all of the run's memories together.
        engine: The engine of the run, whose stores listen for interruption.

    Attributes:
        refusals: How often the limit refused memory.
        open: Whether memory is booked; not so for memory of our own.
    """

    def __init__(self, limit: int, engine: Owned) -> None:
        self._limit = limit
        self._engine = engine
        self._used = 0
        self.refusals = 0
        self.open = True

    @property
    def exhausted(self) -> bool:
        """Whether the guest was refused memory so often that it will not stop asking."""
        return self.refusals > _PATIENCE

    def book(self, size: int) -> bool:
        """Add bytes; False when the limit refuses them."""
        if not self.open:
            return True
        if self._used + size > self._limit:
            self.refusals += 1
            if self.exhausted:
                library.wasmtime_engine_increment_epoch(self._engine.pointer)
            return False
        self._used += size
        return True

    def reserve(self, wanted: int, *, is_64: bool) -> int:
        """How much address space a memory is to have, which must never move, when the engine wants so much."""
        return max(wanted, min(self._limit, _LONGEST)) if is_64 else wanted


class _LinearMemory:
    """One linear memory: ``size`` accessible bytes at ``base``, of ``capacity``, in a mapping of ``length`` bytes."""

    def __init__(self, account: MemoryAccount, size: int, capacity: int, guard: int) -> None:
        page = os.sysconf("SC_PAGESIZE")
        self.capacity = -(-capacity // page) * page
        self._length = self.capacity + -(-guard // page) * page
        flags = _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE
        self.base = _libc.mmap(None, max(self._length, page), _PROT_NONE, flags, -1, 0)
        if self.base == _FAILED:
            raise OSError(ctypes.get_errno(), "can't reserve address space for a memory")
        self._account = account
        self.size = 0
        self.grow(size)

    def grow(self, size: int) -> None:
        """Make it so many bytes.

        Raises:
            OSError: The system doesn't give them.
        """
        if size > self.capacity:
            raise OSError(errno.ENOMEM, "no address space left for the memory")
        if size > self.size and _libc.mprotect(self.base, size, _PROT_READ_WRITE) != 0:
            raise OSError(ctypes.get_errno(), "the system has no memory left")
        self.size = size

    def request(self, size: int) -> bool:
        """Make it so many bytes; False when the limit refuses."""
        if not self._account.book(size - self.size):
            return False
        self.grow(size)
        return True

    def free(self) -> None:
        """Give it back to the system."""
        _libc.munmap(self.base, self._length)


_REFUSED = "the memory limit is reached"
_memories: dict[int, _LinearMemory] = {}
_keys = itertools.count(1)


@wasmtime_memory_get_callback_t  # type: ignore[untyped-decorator]
def _get(key: int, size: Any, capacity: Any) -> int:
    memory = _memories[key]
    size[0] = memory.size
    capacity[0] = memory.capacity
    base: int = memory.base
    return base


@wasmtime_memory_grow_callback_t  # type: ignore[untyped-decorator]
def _grow(key: int, size: int) -> int:
    try:
        return 0 if _memories[key].request(size) else new_error(_REFUSED)
    except Exception as error:  # noqa: BLE001  nothing may pass through the engine
        return new_error(str(error))


@finalizer_t  # type: ignore[untyped-decorator]
def _free(key: int) -> None:
    _memories.pop(key).free()


@wasmtime_new_memory_callback_t  # type: ignore[untyped-decorator]
def _new(_data: int | None, kind: int, minimum: int, _maximum: int, reserved: int, guard: int, result: Any) -> int:
    try:
        account = current_run().memory
        if account is None:
            return new_error("a memory outside of a run")
        if not account.book(minimum):
            return new_error(_REFUSED)
        capacity = account.reserve(reserved, is_64=library.wasmtime_memorytype_is64(kind))
        memory = _LinearMemory(account, minimum, max(capacity, minimum), guard)
    except Exception as error:  # noqa: BLE001  nothing may pass through the engine
        return new_error(str(error))
    key = next(_keys)
    _memories[key] = memory
    result[0].env = key
    result[0].get_memory = _get
    result[0].grow_memory = _grow
    result[0].finalizer = _free
    return 0


_creator = wasmtime_memory_creator_t(env=None, new_memory=_new, finalizer=NO_FINALIZER)


def limit_tables(store: Owned, limit: int) -> None:
    """Bound what a guest's tables take, which is no linear memory: all of them at most as much again, or 16 MiB.

    Args:
        store: The guest's store.
        limit: Bytes of linear memory that the guest may have.
    """
    elements = max(_TABLE_ELEMENTS, limit // _ELEMENT // _TABLES)
    library.wasmtime_store_limiter(store.pointer, _UNBOUNDED, elements, _UNBOUNDED, _TABLES, _UNBOUNDED)


def use_accounts(config: int) -> None:
    """Have an engine take all linear memory from the account of the run that is current.

    Args:
        config: Its configuration, a ``wasm_config_t``.
    """
    library.wasmtime_config_host_memory_creator_set(config, ctypes.byref(_creator))
