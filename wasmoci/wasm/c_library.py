"""What can be told of the C library that a module was linked with: where wasi-libc keeps the name of the working directory.

wasi-libc begins with the working directory ``/``, and has no way to be told another one: it is a pointer among its data, of which
no symbol is left. A module in which paths are resolved by it has one function that does so. It is known by the constants in it and
by the pointer, which is loaded from its own address, and which leads to the text ``/``.
"""

from __future__ import annotations

import re

from wasmoci._startup.typing import NamedTuple
from wasmoci.wasm.core import CODE, DATA, CoreHead
from wasmoci.wasm.edits import signed, unsigned
from wasmoci.wasm.needed_features import bodies

_I32_CONST, _END = 0x41, 0x0B
_PASSIVE, _EXPLICIT = 1, 2
_ROOT = b"/\0"
_WORD = 4  # bytes of a pointer
_ERANGE, _ENOMEM, _SLASH = (bytes([_I32_CONST]) + signed(number) for number in (68, 48, 47))
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
    found = [
        (address, resolves)
        for address in _pointers(segments)
        if (resolves := _resolves(data, head, address, source)) is not None
    ]
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


def _pointers(segments: list[_Segment]) -> list[int]:
    """The addresses of all pointers that lead to the text ``/``."""
    texts = set()
    for address, content in segments:
        place, raw = -1, bytes(content)
        while (place := raw.find(_ROOT, place + 1)) >= 0:
            texts.add(address + place)
    found = []
    for address, content in segments:
        skipped = -address % _WORD
        whole = content[skipped : skipped + (len(content) - skipped) // _WORD * _WORD]
        words = memoryview(bytes(whole)).cast("I")
        found += [address + skipped + _WORD * number for number, word in enumerate(words) if word in texts]
    return found


def _resolves(data: bytes, head: CoreHead, address: int, source: str) -> bool | None:
    """Whether the library resolves paths by a pointer; None when it is none of the library's, as far as can be told."""
    loads = _loads(address)
    code = head.sections[CODE]
    places = [found.start() for found in loads.finditer(data, code.start, code.end)]
    if not places:
        return None
    by_getcwd = False
    for _, start in bodies(reader := code.reader(data, source)):
        count = sum(start <= place < reader.pos for place in places)
        if not count:
            continue
        body = data[start : reader.pos]
        if _ERANGE not in body or _ENOMEM not in body:
            continue
        if count >= _FEWEST_LOADS and _SLASH in body:
            return True
        by_getcwd = True
    return False if by_getcwd else None


def _loads(address: int) -> re.Pattern[bytes]:
    """Matches what loads a word from an address: the address as the offset from 0, or as a constant."""
    padded = bytes((address >> 7 * place & 0x7F) | (0x80 if place < _WORD else 0) for place in range(_WORD + 1))
    offsets = b"|".join(re.escape(written) for written in (padded, unsigned(address)))
    constant = re.escape(b"\x41" + signed(address - (address >> 31 << 32)))
    return re.compile(rb"\x41\x00\x28[\x00-\x02](?:%b)|%b\x28[\x00-\x02]\x00" % (offsets, constant))
