"""Declares and wraps the C functions of wasm3 in the extension module of ``pywasm3``.

The module's own Python classes aren't used: they never free anything, they print a backtrace to the
process's standard error at each trap, and they hold the GIL while a guest runs. The functions here are those of
``wasm3.h``, the library's public interface, in the same shared object.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_uint32, c_uint64, c_void_p

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasm3.location import extension_file
from wasmoci.handlers._wasm3.names import unmarked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MAX_FRAMES = 64  # of a backtrace; a stack that overflowed has hundreds of thousands

#: ``M3RawCall``: runtime, context, the guest's stack, its memory -> what the call traps with, or NULL.
RawCall = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)


class ImportContext(ctypes.Structure):
    """``M3ImportContext``: which import a raw call is for."""

    _fields_ = (("userdata", c_void_p), ("function", c_void_p))


class _ErrorInfo(ctypes.Structure):
    _fields_ = (
        ("result", c_char_p),
        ("runtime", c_void_p),
        ("module", c_void_p),
        ("function", c_void_p),
        ("file", c_char_p),
        ("line", c_uint32),
        ("message", c_char_p),
    )


class _Frame(ctypes.Structure):
    _fields_ = (("offset", c_uint32), ("function", c_void_p), ("next", c_void_p))


class _Backtrace(ctypes.Structure):
    _fields_ = (("frames", c_void_p), ("last", c_void_p))


class _TaggedValue(ctypes.Structure):
    _fields_ = (("type", c_int), ("value", c_uint64))


_TRUNCATED = ctypes.c_size_t(-1).value


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(extension_file())
    signatures: dict[str, tuple[Any, ...]] = {
        "m3_NewEnvironment": (c_void_p,),
        "m3_FreeEnvironment": (None, c_void_p),
        "m3_NewRuntime": (c_void_p, c_void_p, c_uint32, c_void_p),
        "m3_FreeRuntime": (None, c_void_p),
        "m3_GetMemorySize": (c_uint32, c_void_p),
        "m3_ParseModule": (c_void_p, c_void_p, POINTER(c_void_p), c_char_p, c_uint32),
        "m3_FreeModule": (None, c_void_p),
        "m3_LoadModule": (c_void_p, c_void_p, c_void_p),
        "m3_CompileModule": (c_void_p, c_void_p),
        "m3_RunStart": (c_void_p, c_void_p),
        "m3_LinkRawFunctionEx": (c_void_p, c_void_p, c_char_p, c_char_p, c_char_p, RawCall, c_void_p),
        "m3_FindFunction": (c_void_p, POINTER(c_void_p), c_void_p, c_char_p),
        "m3_FindGlobal": (c_void_p, c_void_p, c_char_p),
        "m3_GetGlobal": (c_void_p, c_void_p, POINTER(_TaggedValue)),
        "m3_Call": (c_void_p, c_void_p, c_uint32, c_void_p),
        "m3_GetErrorInfo": (None, c_void_p, POINTER(_ErrorInfo)),
        "m3_GetBacktrace": (POINTER(_Backtrace), c_void_p),
        "m3_GetFunctionName": (c_char_p, c_void_p),
        # Not of wasm3.h; m3_FreeRuntime forgets the frames.
        "ClearBacktrace": (None, c_void_p),
    }
    for name, (result, *arguments) in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"this build of pywasm3 hides wasm3's function {name}; build it from its sdist") from None
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


class Wasm3Error(Exception):
    """An error of wasm3, or a trap of the guest.

    Args:
        message: What wasm3 says; for a trap it begins with ``[trap]``.
        address: Where that text is in memory, by which a host function's own result is known again.
    """

    def __init__(self, message: str, address: int) -> None:
        super().__init__(message)
        self.message = message
        self.address = address


class Runtime:
    """One module in a runtime and an environment of its own; all three are freed by :meth:`close`.

    A runtime belongs to the thread that uses it. Calls release the GIL.

    Args:
        data: The module, which is kept as long as the runtime.
        stack: Bytes of the stack that holds the guest's locals; the native stack is the calling thread's.

    Raises:
        Wasm3Error: wasm3 refuses the module.
        MemoryError: There is none for it.
    """

    def __init__(self, data: bytes, *, stack: int) -> None:
        self._data = data
        self._module = c_void_p()
        self._loaded = False
        self._runtime: int | None = None
        self._environment: int | None = _made(_library.m3_NewEnvironment())
        try:
            self._runtime = _made(_library.m3_NewRuntime(self._environment, stack, None))
            self._check(_library.m3_ParseModule(self._environment, self._module, data, len(data)))
        except BaseException:
            self.close()
            raise

    def load(self) -> None:
        """Instantiate the module: allocate its memory, place its data.

        Raises:
            Wasm3Error: wasm3 refuses it, or its memory can't be had.
        """
        self._check(_library.m3_LoadModule(self._runtime, self._module))
        self._loaded = True

    def close(self) -> None:
        """Free everything, including the guest's memory."""
        runtime, self._runtime = self._runtime, None
        environment, self._environment = self._environment, None
        if not self._loaded:
            _library.m3_FreeModule(self._module)  # else it is the runtime's
            self._module = c_void_p()
        if runtime is not None:
            _library.ClearBacktrace(runtime)
            _library.m3_FreeRuntime(runtime)
        if environment is not None:
            _library.m3_FreeEnvironment(environment)

    def compile(self) -> None:
        """Compile all functions, which otherwise happens when each is first called.

        Raises:
            Wasm3Error: One needs what wasm3 doesn't have.
        """
        self._check(_library.m3_CompileModule(self._module))

    def link(self, module: str, name: str, function: Any, number: int) -> None:
        """Provide an import; see :data:`RawCall`.

        Args:
            module: The first of the import's names.
            name: The second.
            function: A :data:`RawCall`, which has to be kept as long as the runtime.
            number: What the function finds in ``userdata``.

        Raises:
            Wasm3Error: There is no such import.
        """
        self._check(_library.m3_LinkRawFunctionEx(self._module, module.encode(), name.encode(), None, function, number))

    def start(self) -> None:
        """Run the module's start function, if it has one.

        Raises:
            Wasm3Error: It trapped.
        """
        self._check(_library.m3_RunStart(self._module))

    def call(self, name: str) -> None:
        """Call a function without parameters, and discard its results.

        Args:
            name: An export's name after :func:`~wasmoci.handlers._wasm3.encoding.mark_exports`.

        Raises:
            Wasm3Error: It trapped.
        """
        function = c_void_p()
        self._check(_library.m3_FindFunction(function, self._runtime, name.encode()))
        self._check(_library.m3_Call(function, 0, None))

    def memory_size(self) -> int:
        """The guest's linear memory in bytes."""
        size: int = _library.m3_GetMemorySize(self._runtime)
        return size

    def read_global(self, name: str) -> int | None:
        """Return the value of an exported integer global, or None if there is no such global."""
        found = _library.m3_FindGlobal(self._module, name.encode())
        value = _TaggedValue()
        if found is None or _library.m3_GetGlobal(found, value):
            return None
        number: int = value.value
        return number & 0xFFFF_FFFF if value.type == 1 else number

    def backtrace(self) -> tuple[str, ...]:
        """The guest's frames at its last trap, innermost first, and no more than 64 of them."""
        return tuple(self._frames())

    def _frames(self) -> Iterator[str]:
        found = _library.m3_GetBacktrace(self._runtime)
        address = found.contents.frames if found else None
        for _ in range(_MAX_FRAMES):
            if not address or address == _TRUNCATED:
                return
            frame = _Frame.from_address(address)
            address = frame.next
            if frame.function:  # a call that the stack had no room for leaves a frame without one
                name = (_library.m3_GetFunctionName(frame.function) or b"<unnamed>").decode("utf-8", "replace")
                yield f"{unmarked(name)} at {frame.offset:#x}"
        yield "..."

    def _check(self, result: int | None) -> None:
        if result:
            raise self._error(result)

    def _error(self, address: int) -> Wasm3Error:
        message = ctypes.string_at(address).decode("utf-8", "replace")
        info = _ErrorInfo()
        _library.m3_GetErrorInfo(self._runtime, info)
        detail = (info.message or b"").decode("utf-8", "replace")
        return Wasm3Error(f"{message} ({detail})" if detail else message, address)


def _made(address: int | None) -> int:
    if address is None:
        raise MemoryError
    return address
