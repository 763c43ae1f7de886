"""Loads wasmtime's library, and wraps the objects that its functions return.

The library is opened when the first of its functions is called, and a function gets its prototype on first use.
"""

from __future__ import annotations

import ctypes

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasmtime.location import library_file
from wasmoci.handlers._wasmtime.prototypes import PROTOTYPES, wasm_byte_vec_t

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Library:
    """wasmtime's functions, as attributes."""

    def __init__(self) -> None:
        self._opened: Any = None
        self._held: Any = None

    def __getattr__(self, name: str) -> Any:
        if name not in PROTOTYPES:
            raise AttributeError(name)
        if self._opened is None:
            self._opened = ctypes.CDLL(str(library_file()))
            self._held = ctypes.PyDLL(None, handle=self._opened._handle)  # noqa: SLF001  the same library
        function = (self._held if name in _BRIEF else self._opened)[name]  # by an index it is one of our own
        # An address comes as an int, and whatever has one is taken.
        function.restype, *function.argtypes = (
            ctypes.c_void_p if isinstance(kind, str) else kind for kind in PROTOTYPES[name]
        )
        setattr(self, name, function)
        return function


_BRIEF = {
    "wasi_config_new",
    "wasi_config_set_argv",
    "wasi_config_set_env",
    "wasi_config_set_stdin_bytes",
    "wasm_byte_vec_new",
    "wasmtime_caller_context",
    "wasmtime_caller_export_get",
    "wasmtime_context_set_wasi",
    "wasmtime_instance_export_get",
    "wasmtime_memory_data",
    "wasmtime_memory_data_size",
    "wasmtime_store_context",
}
"""Functions that look something up or take something down, and call nothing: letting go of the GIL for them would take longer."""

library = _Library()


class Owned:
    """An object of wasmtime's, which is freed with this object at the latest.

    Args:
        pointer: Its address.
        free: Frees it.

    Attributes:
        pointer: Its address; 0 once it is freed or somebody else's.
    """

    def __init__(self, pointer: int, free: Callable[[int], object]) -> None:
        self.pointer = pointer
        self._free = free

    def __enter__(self) -> Owned:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def give(self) -> int:
        """Return its address, for a function that takes over the ownership."""
        pointer, self.pointer = self.pointer, 0
        return pointer

    def close(self) -> None:
        """Free it."""
        pointer = self.give()
        if pointer:
            self._free(pointer)


class Failure(Exception):
    """An error or a trap of wasmtime's. Its message is formatted on demand, as that takes longer than most runs.

    Args:
        owned: It.
        message: The function that writes its message to bytes.
    """

    def __init__(self, owned: Owned, message: Callable[..., None]) -> None:
        super().__init__()
        self._owned = owned
        self._render = message
        self._text: str | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code of a component; None if it hasn't exited."""
        if not isinstance(self, Error):
            return None
        code = ctypes.c_int()
        return code.value if library.wasmtime_error_exit_status(self._owned.pointer, ctypes.byref(code)) else None

    def __str__(self) -> str:
        if self._text is None:
            vector = wasm_byte_vec_t()
            self._render(self._owned.pointer, ctypes.byref(vector))
            self._text = take_bytes(vector).decode("utf-8", "replace").removesuffix("\0")
        return self._text


class Error(Failure):
    """An error.

    Args:
        pointer: A ``wasmtime_error_t``, which is freed with this.
    """

    def __init__(self, pointer: int) -> None:
        super().__init__(Owned(pointer, library.wasmtime_error_delete), library.wasmtime_error_message)


class Trap(Failure):
    """A trap.

    Args:
        pointer: A ``wasm_trap_t``, which is freed with this.
    """

    def __init__(self, pointer: int) -> None:
        super().__init__(Owned(pointer, library.wasm_trap_delete), library.wasm_trap_message)


def check(error: int | None) -> None:
    """Raise the error that a function has returned.

    Raises:
        Error: It is one.
    """
    if error:
        raise Error(error)


def failure_of(error: int | None, trap: ctypes.c_void_p) -> Failure | None:
    """Return the error or trap that a call of a guest has ended with."""
    if error:
        return Error(error)
    return Trap(trap.value) if trap.value else None


def take_bytes(vector: wasm_byte_vec_t) -> bytes:
    """Return the content of a byte vector, and free it."""
    content = ctypes.string_at(vector.data, vector.size) if vector.size else b""
    library.wasm_byte_vec_delete(ctypes.byref(vector))
    return content


def assemble(text: bytes) -> bytes:
    """Assemble a module or component in the text format.

    Raises:
        Error: It has an error; the message has its place.
    """
    vector = wasm_byte_vec_t()
    check(library.wasmtime_wat2wasm(text, len(text), ctypes.byref(vector)))
    return take_bytes(vector)
