"""Encodes padded indices with the fewest bytes, for engines that expect a single byte.

LLVM's linker leaves the table of a ``call_indirect`` as five bytes, ``80 80 80 80 00``, where WebAssembly 1.0 had a
single zero byte. wasm3 reads one byte there, and at the memory of ``memory.size``, ``memory.grow``, ``memory.copy``
and ``memory.fill``.
"""

from __future__ import annotations

import re

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasm.edits import CodePass, Edit, unsigned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.wasm.instructions import Instruction
    from wasmoci.wasm.reader import Reader

_NUMBER = rb"[\x80-\xff]{0,4}[\x00-\x7f]"
_PADDED = rb"[\x80-\xff]{1,4}\x00"


def _shorten(body: Reader, found: Instruction) -> Iterator[Edit]:
    for letter, start, end in found.immediates:
        if letter in "xyz" and end - start > 1:
            number = body.part(0, body.where)
            number.pos, number.end = start, end
            short = unsigned(number.unsigned())
            if len(short) < end - start:
                yield Edit(start, end, short)


SHORTEN = CodePass(
    candidates=re.compile(
        rb"(?:[\x11\x13]%(number)s|[\x3f\x40]|\xfc(?:\x08%(number)s|\x0a(?:%(number)s)?|\x0b))%(padded)s"
        % {b"number": _NUMBER, b"padded": _PADDED}
    ),
    stops=frozenset(),
    change=_shorten,
)
