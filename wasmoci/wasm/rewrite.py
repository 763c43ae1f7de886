"""Rewrites core modules for engines that need help: memory limits and short indices, in one pass over the code.

Rewriting changes the offsets in the code, so custom sections that refer to them (DWARF, branch hints) are wrong
afterwards; names stay correct. No engine that needs these passes reads the former.
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
    """Encode padded indices of tables and memories with the fewest bytes, as wasm3 requires.

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
    """Write a memory limit into a module.

    The limit holds for all memories of the module together. A module that can't exceed it, because of its own maximum,
    is unchanged. With :attr:`OnRefusal.COUNT`, a module that grows its memory gets an exported, mutable ``i32`` global
    :data:`REFUSED_EXPORT`, which counts how often the limit refused memory. A growth that is refused by the memory's
    own maximum is not counted.

    Args:
        data: A core module.
        max_pages: The limit, in pages of 64 KiB.
        on_refusal: What happens at the limit.
        source: The module's name, for messages.

    Returns:
        The changed module; ``data`` itself when there was nothing to change.

    Raises:
        InitialMemoryTooLarge: Its initial memory exceeds the limit.
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
    """Do the work of :func:`shorten_indices`, :func:`limit_memory` or both, in one pass.

    Args:
        data: A core module.
        shorten: Whether to shorten indices.
        max_pages: The memory limit, in pages of 64 KiB; None for no limit.
        on_refusal: What happens at the limit.
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
