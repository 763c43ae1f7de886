"""Creates machine code through which an engine calls Python, so that it learns of any failure of the callback.

A call-back of ctypes that raises, or that can't even be entered (no memory for its arguments, no recursion left, a signal's handler
that raises first), gives the engine whatever lies on the stack: NULL, which is success, or an address of nothing, which the engine
frees. Nothing that is written in Python can prevent that, as it happens before the first line of it and behind the last.

So the engine isn't given ctypes' own functions, but a few machine instructions in front of each. They clear a mark in memory that the
caller gave, call the Python function, whose return value doesn't count, and look at the mark again. Where it is set they return NULL,
or what lies beside it; else they return what a function of the engine makes: a new trap or error. An answer is therefore a mark that Python writes when
all is done, and everything else is a failure.
"""

from __future__ import annotations

import ctypes
import enum
import mmap
import os
import struct
import sys

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Marked(enum.Enum):
    """The position of the parameter that points to the memory with the mark."""

    FIRST = 0
    THIRD = 1
    SEVENTH = 2


@attrs.frozen
class Entry:
    """One callback.

    Args:
        function: A ctypes call-back without a result; it sets the mark when it has answered. The caller keeps it as long as the entry.
        marked: The parameter that points to the memory with the mark.
        offset: Where the mark is from there, in bytes; less than 128, and a multiple of 4.
        mark: The 32 bits that say that it has answered; not 0.
        failed: The address of a C function that makes what is returned otherwise; 0 for ``first`` itself.
        first: The first argument of ``failed``.
        second: The second one.
        result: Where what is returned after an answer is from there, 64 bits; None for NULL.
    """

    function: Any
    marked: Marked
    offset: int
    mark: int
    failed: int
    first: int
    second: int = 0
    result: int | None = None


_SIZE = 128  # bytes of an entry: the code, and behind it five values
_VALUES = struct.Struct("<QQQQI4x")
_AT = _SIZE - _VALUES.size
_INNER, _FAILED, _FIRST, _SECOND, _MARK = (_AT + 8 * number for number in range(5))


class _X86:
    """x86-64, System V."""

    load = ("4889fb", "4889d3", "488b5c2410")  # mov rbx, rdi | rdx | [rsp+16]
    same = "f30f1efa 4889f8 c3"  # endbr64; mov rax, rdi; ret
    get = (
        "f30f1efa 488b4708 488906"  # endbr64; mov rax, [rdi+8]; mov [rsi], rax
        "488b4710 488902 488b07 c3"  # mov rax, [rdi+16]; mov [rdx], rax; mov rax, [rdi]; ret
    )

    # endbr64; mov rax, [state]; cmp dword [rax+24], 0; jne over it; mov byte [rax+rdi+28], 1; mov rdi, [rax]; jmp [rax+8]; jmp [rax+16]
    record = "f30f1efa 488b0515000000 83781800 750b c644381c01 488b38 ff6008 ff6010 90"

    @classmethod
    def entry(cls, marked: Marked, offset: int, result: int | None) -> bytes:
        code = bytearray.fromhex("f30f1efa 53" + cls.load[marked.value])  # endbr64; push rbx; mov rbx, ...
        code += b"\xc7\x43" + bytes([offset]) + bytes(4)  # mov dword [rbx+offset], 0
        code += bytes.fromhex("4883ec08 53")  # sub rsp, 8; push rbx: the seventh argument, of one that has so many

        def at(instruction: str, value: int) -> None:
            code.extend(bytes.fromhex(instruction))
            code.extend((value - len(code) - 4).to_bytes(4, "little"))

        at("ff15", _INNER)  # call [inner]
        code += bytes.fromhex("4883c410")  # add rsp, 16
        code += b"\x8b\x43" + bytes([offset])  # mov eax, [rbx+offset]
        at("3b05", _MARK)  # cmp eax, [mark]
        # mov rax, [rbx+result], or xor eax, eax
        given = bytes.fromhex("31c0") if result is None else b"\x48\x8b\x43" + bytes([result])
        code += (
            b"\x75" + bytes([len(given) + 2]) + given + bytes.fromhex("5b c3 5b")
        )  # jne over it; ...; pop rbx; ret; pop rbx
        at("488b3d", _FIRST)  # mov rdi, [first]
        at("488b35", _SECOND)  # mov rsi, [second]
        at("ff25", _FAILED)  # jmp [failed]
        return bytes(code)


class _Arm:
    """AArch64, AAPCS64."""

    load = (0xAA0003F3, 0xAA0203F3, 0xAA0603F3)  # mov x19, x0 | x2 | x6
    same = "5f2403d5 c0035fd6"  # bti c; ret
    get = (
        "5f2403d5 090440f9 290000f9"  # bti c; ldr x9, [x0, #8]; str x9, [x1]
        "090840f9 490000f9 000040f9 c0035fd6"  # ldr x9, [x0, #16]; str x9, [x2]; ldr x0, [x0]; ret
    )

    record = (
        "5f2403d5 69010058 2a1940b9 ea000035"  # bti c; ldr x9, state; ldr w10, [x9, #24]; cbnz w10, over it
        "2b41208b 2a008052 6a710039"  # add x11, x9, w0, uxtw; mov w10, #1; strb w10, [x11, #28]
        "200140f9 2a0540f9 40011fd6"  # ldr x0, [x9]; ldr x10, [x9, #8]; br x10
        "2a0940f9 40011fd6"  # ldr x10, [x9, #16]; br x10
    )

    @classmethod
    def entry(cls, marked: Marked, offset: int, result: int | None) -> bytes:
        words: list[int] = []

        def literal(instruction: int, value: int) -> None:  # ldr register, value: counted in words from here
            words.append(instruction | (value // 4 - len(words)) << 5)

        scaled = offset // 4 << 10
        words += (0xD503245F, 0xA9BE7BFD, 0xF9000BF3)  # bti c; stp x29, x30, [sp, #-32]!; str x19, [sp, #16]
        words += (cls.load[marked.value], 0xB900027F | scaled)  # mov x19, ...; str wzr, [x19, #offset]
        literal(0x58000010, _INNER)  # ldr x16, inner
        words += (0xD63F0200, 0xB9400269 | scaled)  # blr x16; ldr w9, [x19, #offset]
        literal(0x1800000A, _MARK)  # ldr w10, mark
        # ldr x0, [x19, #result], or mov x0, xzr
        given = 0xAA1F03E0 if result is None else 0xF9400260 | result // 8 << 10
        leave = (0xF9400BF3, 0xA8C27BFD)  # ldr x19, [sp, #16]; ldp x29, x30, [sp], #32
        words += (0x6B0A013F, 0x540000A1, given, *leave, 0xD65F03C0, *leave)  # cmp w9, w10; b.ne over it; ...; ret
        literal(0x58000000, _FIRST)  # ldr x0, first
        literal(0x58000001, _SECOND)  # ldr x1, second
        literal(0x58000010, _FAILED)  # ldr x16, failed
        words.append(0xD61F0200)  # br x16
        return struct.pack(f"<{len(words)}I", *words)


_NAME = os.uname().machine  # asked while it may be: in the jail the kernel doesn't tell
_MACHINES: dict[str, type[_X86 | _Arm]] = {"x86_64": _X86, "aarch64": _Arm, "arm64": _Arm}


def _machine() -> type[_X86 | _Arm]:
    if _NAME not in _MACHINES or sys.maxsize < 1 << 32:
        raise ImportError(f"an engine can't call Python safely on {_NAME}, only on {' and '.join(sorted(_MACHINES))}")
    return _MACHINES[_NAME]


def addresses(entries: Sequence[Entry]) -> list[int]:
    """Create entry points, which live as long as the process.

    Args:
        entries: What they call.

    Returns:
        The address of each, to be given to an engine.

    Raises:
        ImportError: There is none for this machine, or it lets no code be made.
    """
    machine = _machine()
    same = _made(bytes.fromhex(machine.same)) if any(not entry.failed for entry in entries) else 0
    parts = []
    for entry in entries:
        inner = ctypes.cast(entry.function, ctypes.c_void_p).value or 0
        values = _VALUES.pack(inner, entry.failed or same, entry.first, entry.second, entry.mark)
        parts.append(machine.entry(entry.marked, entry.offset, entry.result).ljust(_AT, b"\0") + values)
    base = _made(b"".join(parts))
    return [base + _SIZE * number for number in range(len(entries))]


def reader() -> int:
    """Create a function that only reads memory: ``f(a, b, c)`` stores ``a[1]`` in ``*b`` and ``a[2]`` in ``*c``, and returns ``a[0]``.

    Raises:
        ImportError: As :func:`addresses`.
    """
    return _made(bytes.fromhex(_machine().get))


def recorder(state: int) -> int:
    """Make a signal's handler, which neither knows Python nor waits for it.

    Args:
        state: The address of ``argument``, ``function``, ``other`` (64 bits each), ``passes`` (32 bits) and 65 bytes, one a signal. The
            handler sets the signal's byte to 1 and calls ``function(argument)``; while ``passes`` isn't 0, it calls ``other`` as
            a handler in its place.

    Raises:
        ImportError: As :func:`addresses`.
    """
    return _made(bytes.fromhex(_machine().record) + struct.pack("<Q", state))


def _made(code: bytes) -> int:
    """Return the address of the code, in memory that is never freed, as an engine may keep it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    size = ctypes.c_size_t(-(-len(code) // mmap.PAGESIZE) * mmap.PAGESIZE)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    base = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, ctypes.c_long(0))
    if base != _NO_MEMORY:
        address = ctypes.c_void_p(base)
        ctypes.memmove(address, code, len(code))
        flush = getattr(libc, "sys_icache_invalidate", None)  # of macOS; Linux does it as a page becomes executable
        if flush is not None:
            flush(address, size)
        # From now on it is executed, and never written.
        if libc.mprotect(address, size, mmap.PROT_READ | mmap.PROT_EXEC) == 0:
            return int(base)
    raise ImportError(f"no code can be made, which calls of Python need: {os.strerror(ctypes.get_errno())}")


_NO_MEMORY = ctypes.c_void_p(-1).value
