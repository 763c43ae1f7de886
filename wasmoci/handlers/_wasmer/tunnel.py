"""Rewrites modules to call their WASI host through a pipe, for an engine that can't call host functions.

The guest keeps two imports, ``fd_read`` and ``fd_write``, on pipes that lead to us. Each other function of WASI becomes one
of the module's own, which calls the host by :mod:`.messages`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.errors import UnsupportedModule
from wasmoci.handlers._wasmer import assembly as asm
from wasmoci.handlers._wasmer.messages import NUMBERS, REFUSED, SCRATCH
from wasmoci.handlers._wasmer.regions import Vectors, reads_of
from wasmoci.handlers._wasmer.renumbering import Layout, References
from wasmoci.wasi import FUNCTIONS
from wasmoci.wasm.core import CODE, EXPORT, FUNCTION, IMPORT, MEMORY, START, TYPE, CoreHead, read_head
from wasmoci.wasm.edits import Edit, append_to, apply, change_code, change_section, unsigned
from wasmoci.wasm.name_section import name_functions
from wasmoci.wasm.reader import Reader
from wasmoci.wasm.rewrite import limit_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS = SCRATCH // 8
_MOST_GATHERED = 1 << 20  # bytes or records that are sent along with a call
_MOST_POSTED = 1 << 16  # bytes that a guest may be ahead of the host
_FEWEST_IMPORTS = 2
_CUSTOM, _FUNCTION_KIND, _MEMORY_KIND = 0, 0, 2


def limit_and_tunnel(data: bytes, pages: int | None, calls: tuple[str, ...], *, source: str) -> bytes:
    """Limit a module's memory, and rewrite it: see :func:`tunnel`.

    Args:
        data: A core module that imports functions of WASI and nothing else.
        pages: The limit, in pages of 64 KiB; None for no limit.
        calls: As for :func:`tunnel`.
        source: As for :func:`tunnel`.

    Raises:
        InitialMemoryTooLarge: It begins with more memory.
        InvalidModule: As by :func:`tunnel`.
        UnsupportedModule: As by :func:`tunnel`.
    """
    limited = data if pages is None else limit_memory(data, pages, source=source)
    return tunnel(limited, calls, original=data, source=source)


def tunnel(data: bytes, calls: tuple[str, ...], *, original: bytes, source: str) -> bytes:
    """Rewrite a module.

    Args:
        data: A core module that imports functions of WASI and nothing else; with its memory limited or not.
        calls: The exported functions, without parameters, that its entry function shall call.
        original: The module before its memory was limited.
        source: Its name, for messages.

    Returns:
        A module that exports ``_start`` and ``memory``.

    Raises:
        InvalidModule: It is damaged.
        UnsupportedModule: It has no page of memory to begin with, and so no place for messages.
    """
    head = read_head(data, source=source)
    before = read_head(original, source=source)
    if head.memories and head.memories[0].limits.minimum == 0 and head.imports:
        raise UnsupportedModule(f"{source}: begins without a page of memory, which wasmer needs for calls of its host")
    limited = head.functions > before.functions
    imports = len(head.imports)
    shift = max(0, _FEWEST_IMPORTS - imports)
    layout = Layout(
        imports=imports,
        shift=shift,
        helpers=imports + shift + head.functions,
        refused=len(before.globals) if limited else None,
        growers=range(imports + before.functions, imports + head.functions),
    )
    return _Rewriting(data, head, layout, source).apply(calls)


class _Rewriting:
    """The edits of one module."""

    def __init__(self, data: bytes, head: CoreHead, layout: Layout, source: str) -> None:
        self._data = data
        self._head = head
        self._layout = layout
        self._source = source
        self._types: list[bytes] = []

    def apply(self, calls: tuple[str, ...]) -> bytes:
        head, layout, data = self._head, self._layout, self._data
        references = References(data, head, layout, self._source)
        functions = [
            *self._helpers(),
            *(self._shim(item.name) for item in head.imports),
            *(self._wrapper(index) for index in layout.growers),
            self._call("fd_write"),
            self._entry(calls),
        ]
        code = change_code(data, head, [references.in_code()], source=self._source)
        added = [*[asm.GLOBAL_I64] * _WORDS, asm.global_i32(_MOST_POSTED)]
        edits = [
            *self._replace_imports(),
            *append_to(data, head, FUNCTION, [unsigned(kind) for kind, _ in functions]),
            *(append_to(data, head, MEMORY, [b"\x00\x01"]) if not head.memories else ()),
            *references.in_globals(added),
            *self._replace(EXPORT, 2, self._exports()),
            *self._remove_start(),
            *references.in_elements(),
            *change_section(data, head.sections[CODE], code, [asm.sized(body) for _, body in functions]),
            *(self._remove_names() if layout.shift else name_functions(data, self._names())),
        ]
        # All signatures are known by now. What comes at one place comes in the order of the sections.
        return apply(data, [*append_to(data, head, TYPE, self._types), *edits])

    # Functions, each as its type and its body.

    def _helpers(self) -> Iterator[tuple[int, bytes]]:
        to, globals_, refused = self._layout.to, len(self._head.globals), self._layout.refused
        yield self._type("ii"), asm.transfer(fd=1, function=1)
        yield self._type("ii"), asm.transfer(fd=0, function=0)
        yield self._type(""), asm.save(globals_, send=to.send, end=SCRATCH)
        yield self._type(""), asm.restore(globals_, end=SCRATCH)
        yield self._type("i"), asm.head(globals_, send=to.send, refused=refused, end=SCRATCH)
        yield self._type("", "i"), asm.answer(globals_, send=to.send, receive=to.receive, end=SCRATCH)
        yield self._type("iii", "i"), asm.plain(begin=SCRATCH, most=_MOST_GATHERED)
        yield self._type("ii", "i"), asm.total(plain=to.plain, most=_MOST_GATHERED)
        yield self._type("ii"), asm.gather(send=to.send)

    def _shim(self, name: str) -> tuple[int, bytes]:
        if name != "fd_write":
            return self._call(name)
        credit = len(self._head.globals) + _WORDS
        body = asm.posting(NUMBERS[name], credit, _MOST_POSTED, self._layout.write, to=self._layout.to)
        return self._type("iiii", "i"), body

    def _call(self, name: str) -> tuple[int, bytes]:
        signature = FUNCTIONS[name]
        letters = {"i32": "i", "i64": "I"}
        params = "".join(letters[kind] for kind in signature.params)
        results = "".join(letters[kind] for kind in signature.results)
        reads = [(item.address, item.number, item.record, isinstance(item, Vectors)) for item in reads_of(name)]
        body = asm.shim(params, NUMBERS[name], reads, has_result=bool(results), to=self._layout.to)
        return self._type(params, results), body

    def _wrapper(self, index: int) -> tuple[int, bytes]:
        grow = index + self._layout.shift
        return self._type("i", "i"), asm.grow(grow, self._layout.refused or 0, REFUSED, to=self._layout.to)

    def _entry(self, calls: tuple[str, ...]) -> tuple[int, bytes]:
        exported = self._exported()
        results = {
            export.name: len(getattr(export.type, "results", ()))
            for export in self._head.exports
            if export.kind == "func"
        }
        wanted = [(exported[name], results[name]) for name in calls]
        if (start := self._start()) is not None:
            wanted.insert(0, (start, 0))
        return self._type(""), asm.entry([(self._layout.moved(index), drops) for index, drops in wanted])

    def _type(self, params: str, results: str = "") -> int:
        entry = asm.function_type(params, results)
        if entry not in self._types:
            self._types.append(entry)
        return len(self._head.types) + self._types.index(entry)

    # Sections.

    def _replace(self, number: int, count: int, content: bytes) -> list[Edit]:
        if section := self._head.sections.get(number):
            new = unsigned(count) + content
            return [Edit(section.header + 1, section.end, unsigned(len(new)) + new)]
        entries = [content, *[b""] * (count - 1)]
        return append_to(self._data, self._head, number, entries)

    def _replace_imports(self) -> list[Edit]:
        kind = bytes([_FUNCTION_KIND]) + unsigned(self._type("iiii", "i"))
        names = ["fd_read", *["fd_write"] * (self._layout.imports + self._layout.shift - 1)]
        entries = [asm.text("wasi_snapshot_preview1") + asm.text(name) + kind for name in names]
        return self._replace(IMPORT, len(entries), b"".join(entries))

    def _exports(self) -> bytes:
        memory = asm.text("memory") + bytes([_MEMORY_KIND, 0])
        return memory + asm.text("_start") + bytes([_FUNCTION_KIND]) + unsigned(self._layout.entry)

    def _remove_start(self) -> list[Edit]:
        section = self._head.sections.get(START)
        return [Edit(section.header, section.end, b"")] if section else []

    def _remove_names(self) -> Iterator[Edit]:
        """Without the name section when the functions have other numbers: no names are better than wrong ones."""
        reader = Reader(self._data, 8, source=self._source, where="the module")
        while reader.left:
            header = reader.pos
            number = reader.byte()
            section = reader.part(reader.unsigned(), "a custom section")
            if number == _CUSTOM and section.name() == "name":
                yield Edit(header, reader.pos, b"")

    def _names(self) -> Iterator[tuple[int, str]]:
        helpers = asm.Helpers._fields
        imports = (item.name for item in self._head.imports)
        wrappers = ("memory.grow" for _ in self._layout.growers)
        for number, name in enumerate((*helpers, *imports, *wrappers, "write", "entry"), self._layout.helpers):
            yield number, f"wasmoci.{name}"

    def _exported(self) -> dict[str, int]:
        reader = self._reader(EXPORT)
        found = {}
        for _ in range(reader.count()):
            name, kind, index = reader.name(), reader.byte(), reader.unsigned()
            if kind == _FUNCTION_KIND:
                found[name] = index
        return found

    def _start(self) -> int | None:
        return self._reader(START).unsigned() if START in self._head.sections else None

    def _reader(self, number: int) -> Reader:
        section = self._head.sections[number]
        return section.reader(self._data, self._source)
