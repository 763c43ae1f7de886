"""The functions that :mod:`.tunnel` puts into a module, as WebAssembly code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.binary.edits import signed, unsigned

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPES = {"i": b"\x7f", "I": b"\x7e"}
_UNREACHABLE, _END, _RETURN, _DROP = b"\x00", b"\x0b", b"\x0f", b"\x1a"
_BLOCK, _LOOP, _IF = b"\x02\x40", b"\x03\x40", b"\x04\x40"
_EQZ, _EQ, _NE = b"\x45", b"\x46", b"\x47"
_ADD, _SUB, _AND, _OR, _SHL = b"\x6a", b"\x6b", b"\x71", b"\x72", b"\x74"
_EXTEND, _MEMORY_SIZE = b"\xad", b"\x3f\x00"
_LOAD, _LOAD_64, _STORE, _STORE_64 = b"\x28", b"\x29", b"\x36", b"\x37"
_ZERO = b"\x41\x00"  # the address that all offsets are from

GLOBAL_I64 = b"\x7e\x01\x42\x00\x0b"
"""A mutable global variable of 64 bits."""


def text(value: str) -> bytes:
    """A name."""
    encoded = value.encode()
    return unsigned(len(encoded)) + encoded


def sized(body: bytes) -> bytes:
    """An entry of the code section."""
    return unsigned(len(body)) + body


def function_type(params: str, results: str) -> bytes:
    """An entry of the type section; ``i`` is 32 bits, ``I`` 64."""
    return b"\x60" + b"".join(
        unsigned(len(kinds)) + b"".join(_TYPES[kind] for kind in kinds) for kinds in (params, results)
    )


def transfer(*, fd: int, function: int) -> bytes:
    """``(address, size)``: move that many bytes with ``fd_read`` or ``fd_write``; trap when the other side is gone.

    The vector is at 0, what was moved at 8.
    """
    moved = _ZERO + _load(8)
    return _function(
        0,
        _BLOCK,
        _LOOP,
        _get(1) + _EQZ + b"\x0d\x01",
        _ZERO + _get(0) + _store(0),
        _ZERO + _get(1) + _store(4),
        _number(fd) + _number(0) + _number(1) + _number(8) + _call(function),
        _IF + _UNREACHABLE + _END,
        moved + _EQZ + _IF + _UNREACHABLE + _END,
        _get(0) + moved + _ADD + _set(0),
        _get(1) + moved + _SUB + _set(1),
        b"\x0c\x00",
        _END,
        _END,
    )


def save(globals_: int, *, send: int, end: int) -> bytes:
    """Keep the bytes 0 to 16 in two globals, and send those from 16 to ``end``."""
    return _function(
        0,
        _ZERO + _load_64(0) + _global_set(globals_),
        _ZERO + _load_64(8) + _global_set(globals_ + 1),
        _number(16) + _number(end - 16) + _call(send),
    )


def serve(globals_: int, *, send: int, receive: int, refused: int | None, end: int) -> bytes:
    """``(number) -> result``: send the header of a call, do what the host commands, restore the memory."""
    command, address, size, result = 1, 2, 3, 4
    return _function(
        4,
        _ZERO + _global_get(globals_) + _store_64(16),
        _ZERO + _global_get(globals_ + 1) + _store_64(24),
        _ZERO + _get(0) + _MEMORY_SIZE + _number(8) + _SHL + _OR + _store(32),
        _ZERO + (_number(0) if refused is None else _global_get(refused)) + _store(36),
        _number(16) + _number(end - 16) + _call(send),
        _LOOP,
        _number(16) + _number(32) + _call(receive),
        _ZERO + _load(16) + _set(command),
        _ZERO + _load(20) + _set(address),
        _ZERO + _load(24) + _set(size),
        _get(command) + _EQZ + _IF + _get(address) + _get(size) + _call(send) + b"\x0c\x01" + _END,
        _get(command) + _number(1) + _EQ + _IF + _get(address) + _get(size) + _call(receive) + b"\x0c\x01" + _END,
        _END,
        _ZERO + _load(28) + _set(result),
        _ZERO + _load_64(32) + _global_set(globals_),
        _ZERO + _load_64(40) + _global_set(globals_ + 1),
        _number(16) + _number(end - 16) + _call(receive),
        _ZERO + _global_get(globals_) + _store_64(0),
        _ZERO + _global_get(globals_ + 1) + _store_64(8),
        _get(result),
    )


def shim(params: str, has_result: bool, number: int, *, save: int, serve: int) -> bytes:  # noqa: FBT001
    """A function of WASI: put the arguments where the header has them, from 40 on, and have the call served."""
    arguments = [
        _ZERO + _get(position) + (_EXTEND if kind == "i" else b"") + _store_64(40 + 8 * position)
        for position, kind in enumerate(params)
    ]
    return _function(0, _call(save), *arguments, _number(number) + _call(serve), b"" if has_result else _DROP)


def grow(function: int, refused: int, number: int, *, save: int, serve: int) -> bytes:
    """``(pages) -> before``: grow the memory, and tell the host when the limit refuses for the first time."""
    return _function(
        1,
        _global_get(refused) + _set(1),
        _get(0) + _call(function),
        _get(1) + _EQZ + _global_get(refused) + _number(0) + _NE + _AND,
        _IF + _call(save) + _number(number) + _call(serve) + _DROP + _END,
    )


def entry(calls: Iterable[tuple[int, int]]) -> bytes:
    """Call functions, each given with how many results there are to drop."""
    return _function(0, *(_call(index) + _DROP * drops for index, drops in calls))


def _function(locals_: int, *code: bytes) -> bytes:
    declared = b"\x01" + unsigned(locals_) + _TYPES["i"] if locals_ else b"\x00"
    return declared + b"".join(code) + _END


def _number(value: int) -> bytes:
    return b"\x41" + signed(value)


def _get(index: int) -> bytes:
    return b"\x20" + unsigned(index)


def _set(index: int) -> bytes:
    return b"\x21" + unsigned(index)


def _global_get(index: int) -> bytes:
    return b"\x23" + unsigned(index)


def _global_set(index: int) -> bytes:
    return b"\x24" + unsigned(index)


def _call(index: int) -> bytes:
    return b"\x10" + unsigned(index)


def _load(offset: int) -> bytes:
    return _LOAD + b"\x00" + unsigned(offset)


def _load_64(offset: int) -> bytes:
    return _LOAD_64 + b"\x00" + unsigned(offset)


def _store(offset: int) -> bytes:
    return _STORE + b"\x00" + unsigned(offset)


def _store_64(offset: int) -> bytes:
    return _STORE_64 + b"\x00" + unsigned(offset)
