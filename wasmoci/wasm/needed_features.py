"""Determines the features that a core module needs, by reading all of it: sections, elements, data and code."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasm.constant_expressions import constant
from wasmoci.wasm.core import CODE, DATA, DATA_COUNT, ELEMENT, CoreHead
from wasmoci.wasm.instruction_skipping import plain_run
from wasmoci.wasm.instructions import decode
from wasmoci.wasm.model import Feature
from wasmoci.wasm.reader import Reader
from wasmoci.wasm.value_types import value_type

if TYPE_CHECKING:
    from collections.abc import Iterator


def features_of(data: bytes, head: CoreHead, *, source: str | None) -> frozenset[Feature]:
    """Read the rest of a module to determine the features that it needs.

    Args:
        data: The module.
        head: The result of :func:`wasmoci.wasm.core.read_head` for it.
        source: Its name, for messages.

    Raises:
        InvalidModule: It is damaged.
    """
    features = set(head.features)
    globals_ = head.imported("global")
    if section := head.sections.get(DATA_COUNT):
        reader = section.reader(data, source)
        reader.unsigned()
        reader.finish()
        features.add(Feature.BULK_MEMORY_OPT)
    for number, read in ((ELEMENT, _element), (DATA, _data)):
        if section := head.sections.get(number):
            reader = section.reader(data, source)
            reader.features = features
            for _ in range(reader.count()):
                read(reader, globals_)
            reader.finish()
    if section := head.sections.get(CODE):
        _code(section.reader(data, source), features)
    return frozenset(features)


def bodies(reader: Reader) -> Iterator[tuple[int, int]]:
    """Yield the functions of a code section, each as the offset of its size and the offset of its content.

    Whenever one is yielded, ``reader`` is positioned after that function.
    """
    for _ in range(reader.count()):
        header = reader.pos
        size = reader.unsigned()
        start = reader.pos
        reader.skip(size)
        yield header, start
    reader.finish()


def _code(reader: Reader, features: set[Feature]) -> None:
    known = frozenset(features)
    match = plain_run(known).match
    data = reader.data
    for _, start in bodies(reader):
        end = reader.pos
        body = Reader(data, start, end, source=reader.source, where="a function")
        body.features = features
        skip_locals(body)
        while body.pos < end:
            found = match(data, body.pos, end)
            if found and found.end() > body.pos:
                body.pos = found.end()
                continue
            decode(body)
            if len(features) != len(known):
                known = frozenset(features)
                match = plain_run(known).match


def skip_locals(body: Reader) -> None:
    """Skip the declarations of local variables at the beginning of a function."""
    for _ in range(body.count()):
        body.unsigned()
        value_type(body)


_PASSIVE, _EXPLICIT, _EXPRESSIONS = 1, 2, 4


def _element(reader: Reader, imported_globals: int) -> None:
    start = reader.pos
    flags = reader.unsigned()
    if flags > 7:  # noqa: PLR2004
        raise reader.fail(f"{flags:#x} is not a kind of element segment", at=start)
    if flags & _PASSIVE:
        reader.features.add(Feature.BULK_MEMORY)
    else:
        if flags & _EXPLICIT and reader.unsigned():
            reader.features.add(Feature.REFERENCE_TYPES)
        constant(reader, imported_globals)
    if flags & _EXPRESSIONS:
        reader.features.add(Feature.REFERENCE_TYPES)
        if flags & (_PASSIVE | _EXPLICIT):
            value_type(reader)
        for _ in range(reader.count()):
            constant(reader, imported_globals)
    else:
        kind = reader.pos
        if flags & (_PASSIVE | _EXPLICIT) and reader.byte():
            raise reader.fail("an element segment is not of functions", at=kind)
        reader.skip_numbers(reader.count())


def _data(reader: Reader, imported_globals: int) -> None:
    start = reader.pos
    flags = reader.unsigned()
    if flags > 2:  # noqa: PLR2004
        raise reader.fail(f"{flags:#x} is not a kind of data segment", at=start)
    if flags & _PASSIVE:
        reader.features.add(Feature.BULK_MEMORY)
    if flags & _EXPLICIT and reader.unsigned():
        reader.features.add(Feature.MULTI_MEMORY)
    if not flags & _PASSIVE:
        constant(reader, imported_globals)
    reader.skip(reader.unsigned())
