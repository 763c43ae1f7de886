"""What can be told of the C library that a module was linked with: where wasi-libc keeps the name of the working directory.

wasi-libc begins with the working directory ``/``, and has no way to be told another one: it is a pointer among its data, of which
no symbol is left. A module in which paths are resolved by it has one function that does so. It is known by the constants in it and
by the pointer, which is loaded from its own address, and which leads to the text ``/``.
"""

from __future__ import annotations

import re

from wasmoci._startup.typing import NamedTuple
from wasmoci.wasm.core import CODE, DATA, CoreHead
from wasmoci.wasm.edits import signed
from wasmoci.wasm.needed_features import bodies

_I32_CONST, _END = 0x41, 0x0B
_PASSIVE, _EXPLICIT = 1, 2
_ROOT = b"/\0"
_WORD = 4  # bytes of a pointer
_ERANGE, _ENOMEM, _SLASH = (bytes([_I32_CONST]) + signed(number) for number in (68, 48, 47))
_MOST = 4096
"""How many texts ``/``, and pointers to one, are looked at: of a module with more nothing is told."""
_FEWEST_LOADS = 2  # of the function that resolves paths; getcwd has one


class CLibrary(NamedTuple):
    """What is known of a module's C library.

    Args:
        directory: The address of the pointer to the name of the working directory; None where nothing is known of one.
        resolves: Whether paths are resolved by that name; else it is there for ``getcwd`` alone.
        begin: Where the module's data begin.
        end: Where they end.
    """

    directory: int | None = None
    resolves: bool = False
    begin: int = 0
    end: int = 0


class _Segment(NamedTuple):
    address: int
    content: memoryview


def c_library(data: bytes, head: CoreHead, *, source: str) -> CLibrary:
    """Look for the C library in a core module.

    Args:
        data: The module.
        head: What was read of it.
        source: Its name, for messages.

    Raises:
        InvalidModule: The data or the code are damaged.
    """
    segments = _segments(data, head, source)
    if not segments or CODE not in head.sections:
        return CLibrary()
    begin = min(segment.address for segment in segments)
    end = max(segment.address + len(segment.content) for segment in segments)
    pointers = _pointers(segments)
    found = list(_users(data, head, pointers, source).items()) if pointers else []
    if len(found) != 1:
        return CLibrary(begin=begin, end=end)
    return CLibrary(*found[0], begin, end)


def _segments(data: bytes, head: CoreHead, source: str) -> list[_Segment]:
    """The data that are placed at constant addresses; none when others are placed elsewhere."""
    section = head.sections.get(DATA)
    if section is None:
        return []
    reader = section.reader(data, source)
    segments = []
    for _ in range(reader.count()):
        flags = reader.unsigned()
        if flags & _EXPLICIT:
            reader.unsigned()
        address = None
        if not flags & _PASSIVE:
            if reader.byte() != _I32_CONST:
                return []
            address = reader.signed(32) & 0xFFFF_FFFF
            if reader.byte() != _END:
                return []
        size = reader.unsigned()
        start = reader.pos
        reader.skip(size)
        if address is not None:
            segments.append(_Segment(address, memoryview(data)[start : reader.pos]))
    return segments


def _pointers(segments: list[_Segment]) -> frozenset[int]:
    """The addresses of all pointers that lead to the text ``/``; none of a module that has more of them than any library."""
    texts = set()
    for address, content in segments:
        place, raw = -1, bytes(content)
        while (place := raw.find(_ROOT, place + 1)) >= 0:
            texts.add(address + place)
            if len(texts) > _MOST:
                return frozenset()
    found: set[int] = set()
    for address, content in segments:
        skipped = -address % _WORD
        whole = content[skipped : skipped + (len(content) - skipped) // _WORD * _WORD]
        words = memoryview(bytes(whole)).cast("I")
        found.update(address + skipped + _WORD * number for number, word in enumerate(words) if word in texts)
        if len(found) > _MOST:
            return frozenset()
    return frozenset(found)


def _users(data: bytes, head: CoreHead, pointers: frozenset[int], source: str) -> dict[int, bool]:
    """Which pointers functions of the library load, and whether it resolves paths by them.

    The code is gone through once, however many pointers there are: the module is anybody's.
    """
    code = head.sections[CODE]
    loads = [
        (found.start(), address)
        for found in _LOAD.finditer(data, code.start, code.end)
        if (address := _address(found)) in pointers
    ]
    users: dict[int, bool] = {}
    place = 0
    for _, start in bodies(reader := code.reader(data, source)) if loads else ():
        counts: dict[int, int] = {}
        while place < len(loads) and loads[place][0] < reader.pos:
            where, address = loads[place]
            if where >= start:
                counts[address] = counts.get(address, 0) + 1
            place += 1
        if not counts:
            continue
        body = data[start : reader.pos]
        if _ERANGE not in body or _ENOMEM not in body:
            continue
        resolves = _SLASH in body
        for address, count in counts.items():
            users[address] = users.get(address, False) or (resolves and count >= _FEWEST_LOADS)
    return users


def _address(found: re.Match[bytes]) -> int:
    """The address that a word is loaded from: as the offset from 0, or as a constant."""
    offset, constant = found.groups()
    number, shift = 0, 0
    for byte in offset or constant:
        number |= (byte & 0x7F) << shift
        shift += 7
    if offset is None and constant[-1] & 0x40:
        number -= 1 << shift
    return number & 0xFFFF_FFFF


_LOAD = re.compile(
    rb"(?=\x41(?:\x00\x28[\x00-\x02]([\x80-\xff]{0,4}[\x00-\x7f])|([\x80-\xff]{0,4}[\x00-\x7f])\x28[\x00-\x02]\x00))"
)
"""An ``i32.load`` whose address is known; looked for at each byte, for the one before may be anything."""
