"""Core modules changed for engines that need help, in one walk over their code.

Code changes its offsets, so custom sections that speak of them (DWARF, branch hints) are no longer right afterwards;
names stay right. No engine that needs these passes reads the former.
"""

from __future__ import annotations

from wasmoci.errors import UnsupportedModule
from wasmoci.wasm.core import CODE, read_head
from wasmoci.wasm.edits import apply, change_code, change_section
from wasmoci.wasm.index_shortening import SHORTEN
from wasmoci.wasm.memory_bound import REFUSED_EXPORT, InitialMemoryTooLarge
from wasmoci.wasm.memory_growth import GROW_FUNCTION, MAX_REFUSALS, PAGE, GrowthLimit, OnRefusal
from wasmoci.wasm.model import ModuleKind
from wasmoci.wasm.preamble import kind_of

__all__ = [
    "GROW_FUNCTION",
    "MAX_REFUSALS",
    "PAGE",
    "REFUSED_EXPORT",
    "InitialMemoryTooLarge",
    "OnRefusal",
    "limit_memory",
    "rewrite",
    "shorten_indices",
]


def shorten_indices(data: bytes, *, source: str = "module") -> bytes:
    """Write padded indices of tables and memories with the fewest bytes, as wasm3 wants them.

    Args:
        data: A core module.
        source: Its name, for messages.

    Returns:
        The changed module; ``data`` itself when there was nothing to change.

    Raises:
        InvalidModule: It is damaged.
        UnsupportedModule: It is not a core module.
    """
    return rewrite(data, shorten=True, source=source)


def limit_memory(
    data: bytes, max_pages: int, *, on_refusal: OnRefusal = OnRefusal.COUNT, source: str = "module"
) -> bytes:
    """Write a bound on its memory into a module.

    The bound holds for all memories of the module together. A module that can't pass it, by its own maximum, is left
    alone. With :attr:`OnRefusal.COUNT` a module that grows its memory gets an exported, mutable ``i32`` global
    :data:`REFUSED_EXPORT`: how often it was refused memory because of the bound. A growth that its own maximum refuses
    is not counted.

    Args:
        data: A core module.
        max_pages: The bound, in pages of 64 KiB.
        on_refusal: What happens at the bound.
        source: The module's name, for messages.

    Returns:
        The changed module; ``data`` itself when there was nothing to change.

    Raises:
        InitialMemoryTooLarge: It begins with more than the bound.
        InvalidModule: It is damaged.
        UnsupportedModule: It is not a core module, imports its memory, has pages of another size than 64 KiB, or
            exports the reserved name.
    """
    return rewrite(data, max_pages=max_pages, on_refusal=on_refusal, source=source)


def rewrite(
    data: bytes,
    *,
    shorten: bool = False,
    max_pages: int | None = None,
    on_refusal: OnRefusal = OnRefusal.COUNT,
    source: str = "module",
) -> bytes:
    """Do what :func:`shorten_indices` and :func:`limit_memory` do, either or both, in one walk.

    Args:
        data: A core module.
        shorten: Whether to shorten indices.
        max_pages: The bound on its memory, in pages of 64 KiB; None for none.
        on_refusal: What happens at the bound.
        source: The module's name, for messages.

    Returns:
        The changed module; ``data`` itself when there was nothing to change.

    Raises:
        WasmociError: See the two functions.
    """
    kind = kind_of(data, source=source)
    if kind is not ModuleKind.CORE:
        raise UnsupportedModule(f"{source}: only a core module can be rewritten; this is a {kind.value}")
    head = read_head(data, source=source)
    limit = None if max_pages is None else GrowthLimit(data, head, max_pages, on_refusal, source)
    if limit is not None and not limit.bound:
        limit = None
    passes = ([limit.code_pass()] if limit else []) + ([SHORTEN] if shorten else [])
    code = change_code(data, head, passes, source=source)
    edits, functions = limit.edits() if limit else ([], [])
    if code or functions:
        edits += change_section(data, head.sections[CODE], code, functions)
    if limit:
        edits += limit.names()
    return apply(data, edits)
