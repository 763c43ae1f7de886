"""Generates the WebAssembly code of the functions that :mod:`.tunnel` adds to a module."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wasmoci.handlers._wasmer.messages import GATHERED_BIT, POSTED_BIT
from wasmoci.wasm.edits import signed, unsigned

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPES = {"i": b"\x7f", "I": b"\x7e"}
_UNREACHABLE, _END, _RETURN, _DROP = b"\x00", b"\x0b", b"\x0f", b"\x1a"
_BLOCK, _LOOP, _IF = b"\x02\x40", b"\x03\x40", b"\x04\x40"
_EQZ, _EQ, _NE = b"\x45", b"\x46", b"\x47"
_ADD, _SUB, _AND, _OR, _SHL = b"\x6a", b"\x6b", b"\x71", b"\x72", b"\x74"
_MUL, _GE_S, _LT_U, _GT_U, _LE_U, _GE_U = b"\x6c", b"\x4e", b"\x49", b"\x4b", b"\x4d", b"\x4f"
_ADD_64, _MUL_64, _SHL_64, _LE_U_64 = b"\x7c", b"\x7e", b"\x86", b"\x58"
_EXTEND, _MEMORY_SIZE = b"\xad", b"\x3f\x00"
_LOAD, _LOAD_64, _STORE, _STORE_64 = b"\x28", b"\x29", b"\x36", b"\x37"
_ZERO = b"\x41\x00"  # the address that all offsets are from

GLOBAL_I64 = b"\x7e\x01\x42\x00\x0b"
"""A mutable global variable of 64 bits."""


class Helpers(NamedTuple):
    """The indices of the helper functions."""

    send: int
    receive: int
    save: int
    restore: int
    head: int
    answer: int
    plain: int
    total: int
    gather: int


def global_i32(value: int) -> bytes:
    """A mutable global variable of 32 bits."""
    return _TYPES["i"] + b"\x01" + _number(value) + _END


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
    """Keep the bytes up to ``end`` in globals, and send those from 16 on."""
    kept = [_ZERO + _load_64(8 * word) + _global_set(globals_ + word) for word in range(end // 8)]
    return _function(0, *kept, _number(16) + _number(end - 16) + _call(send))


def restore(globals_: int, *, end: int) -> bytes:
    """Put back what :func:`save` has kept."""
    return _function(0, *(_ZERO + _global_get(globals_ + word) + _store_64(8 * word) for word in range(end // 8)))


def head(globals_: int, *, send: int, refused: int | None, end: int) -> bytes:
    """``(number)``: send the header of a call."""
    return _function(
        0,
        _ZERO + _global_get(globals_) + _store_64(16),
        _ZERO + _global_get(globals_ + 1) + _store_64(24),
        _ZERO + _get(0) + _MEMORY_SIZE + _number(8) + _SHL + _OR + _store(32),
        _ZERO + (_number(0) if refused is None else _global_get(refused)) + _store(36),
        _number(16) + _number(end - 16) + _call(send),
    )


def answer(globals_: int, *, send: int, receive: int, end: int) -> bytes:
    """``() -> result``: do what the host commands, up to the return, which brings the memory's beginning."""
    command, address, size, result = range(4)
    return _function(
        4,
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


def plain(*, begin: int, most: int) -> bytes:
    """``(address, count, record) -> whether``: it is at or behind ``begin``, inside the memory, and not too long."""
    end = _get(0) + _EXTEND + _get(1) + _EXTEND + _get(2) + _EXTEND + _MUL_64 + _ADD_64
    return _function(
        0,
        _get(0) + _number(begin) + _GE_U,
        _get(1) + _number(most) + _LE_U + _AND,
        end + _MEMORY_SIZE + _EXTEND + b"\x42\x10" + _SHL_64 + _LE_U_64 + _AND,
    )


def total(*, plain: int, most: int) -> bytes:
    """``(vectors, count) -> bytes``: how long the buffers are together, or -1 when one isn't plain or they are too long."""
    length = 2
    one = _get(0) + _load(4)
    return _function(
        1,
        _get(0) + _get(1) + _number(8) + _call(plain) + _EQZ + _IF + _number(-1) + _RETURN + _END,
        _BLOCK,
        _LOOP,
        _get(1) + _EQZ + b"\x0d\x01",
        _get(0) + _load(0) + one + _number(1) + _call(plain) + _EQZ + _IF + _number(-1) + _RETURN + _END,
        _get(length) + one + _ADD + _set(length),
        _get(length) + _number(most) + _GT_U + _IF + _number(-1) + _RETURN + _END,
        _get(0) + _number(8) + _ADD + _set(0),
        _get(1) + _number(1) + _SUB + _set(1),
        b"\x0c\x00",
        _END,
        _END,
        _get(length),
    )


def gather(*, send: int) -> bytes:
    """``(vectors, count)``: send the buffers."""
    return _function(
        0,
        _BLOCK,
        _LOOP,
        _get(1) + _EQZ + b"\x0d\x01",
        _get(0) + _load(0) + _get(0) + _load(4) + _call(send),
        _get(0) + _number(8) + _ADD + _set(0),
        _get(1) + _number(1) + _SUB + _set(1),
        b"\x0c\x00",
        _END,
        _END,
    )


def shim(
    params: str, number: int, reads: Iterable[tuple[int, int, int, bool]], *, has_result: bool, to: Helpers
) -> bytes:
    """A function of WASI: put the arguments where the header has them, from 40 on, and have the call answered.

    Args:
        params: The types of the parameters.
        number: The number by which the host knows it.
        reads: What it reads, which is sent along: the parameters with address and number of records, the size of a record,
            and whether the records are vectors.
        has_result: Whether it returns an errno.
        to: The functions to call.
    """
    reads = tuple(reads)
    local = len(params)
    checks = [
        _get(address)
        + _get(count)
        + ((_call(to.total) + _number(0) + _GE_S) if vectors else (_number(record) + _call(to.plain)))
        for address, count, record, vectors in reads
    ]
    together = b"".join(checks) + _AND * (len(checks) - 1) if checks else _number(0)
    sends = b"".join(
        _get(address)
        + _get(count)
        + _number(record)
        + _MUL
        + _call(to.send)
        + (_get(address) + _get(count) + _call(to.gather) if vectors else b"")
        for address, count, record, vectors in reads
    )
    return _function(
        1,
        together + _set(local),
        _call(to.save) + _arguments(params),
        _number(number) + _get(local) + _number(GATHERED_BIT) + _SHL + _OR + _call(to.head),
        _get(local) + _IF + sends + _END if reads else b"",
        _call(to.answer),
        b"" if has_result else _DROP,
    )


def posting(number: int, credit: int, most: int, call: int, *, to: Helpers) -> bytes:
    """``fd_write``: to descriptors 1 and 2 without waiting for the host, up to so many bytes ahead; else by ``call``."""
    fd, vectors, count, written, length = range(5)
    left = _global_get(credit)
    return _function(
        1,
        _get(vectors) + _get(count) + _call(to.total) + _set(length),
        _get(fd) + _number(1) + _SUB + _number(1) + _LE_U,
        _get(written) + _number(4) + _number(1) + _call(to.plain) + _AND,
        _get(length) + left + _LT_U + _AND,  # -1 is the greatest of all
        _IF,
        left + _get(length) + _SUB + _number(1) + _SUB + _global_set(credit),
        _call(to.save) + _arguments("iiii"),
        _number(number | 1 << GATHERED_BIT | 1 << POSTED_BIT) + _call(to.head),
        _get(vectors) + _get(count) + _number(8) + _MUL + _call(to.send),
        _get(vectors) + _get(count) + _call(to.gather),
        _call(to.restore),
        _get(written) + _get(length) + _store(0),
        _number(0) + _RETURN,
        _END,
        _number(most) + _global_set(credit),
        _get(fd) + _get(vectors) + _get(count) + _get(written) + _call(call),
    )


def _arguments(params: str) -> bytes:
    return b"".join(
        _ZERO + _get(position) + (_EXTEND if kind == "i" else b"") + _store_64(40 + 8 * position)
        for position, kind in enumerate(params)
    )


def grow(function: int, refused: int, number: int, *, to: Helpers) -> bytes:
    """``(pages) -> before``: grow the memory, and tell the host when the limit refuses for the first time."""
    return _function(
        1,
        _global_get(refused) + _set(1),
        _get(0) + _call(function),
        _get(1) + _EQZ + _global_get(refused) + _number(0) + _NE + _AND,
        _IF + _call(to.save) + _number(number) + _call(to.head) + _call(to.answer) + _DROP + _END,
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
