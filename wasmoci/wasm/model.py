"""Defines the classes that describe a module: kinds, features, types, imports and exports."""

from __future__ import annotations

import enum

from wasmoci._startup import attrs


class ModuleKind(enum.Enum):
    """The three forms of WebAssembly."""

    CORE = "core module"
    COMPONENT = "component"
    TEXT = "text"


class Feature(enum.Enum):
    """What a module may need beyond WebAssembly 1.0; the values are named like the options of engines."""

    MUTABLE_GLOBALS = "mutable-globals"
    SIGN_EXTENSION = "sign-extension"
    SATURATING_FLOAT_TO_INT = "saturating-float-to-int"
    MULTI_VALUE = "multi-value"
    # memory.copy, memory.fill and the data count section, which some engines without the rest of bulk-memory support.
    BULK_MEMORY_OPT = "bulk-memory-opt"
    BULK_MEMORY = "bulk-memory"
    REFERENCE_TYPES = "reference-types"
    SIMD = "simd"
    RELAXED_SIMD = "relaxed-simd"
    TAIL_CALL = "tail-call"
    THREADS = "threads"
    EXCEPTIONS = "exceptions"
    LEGACY_EXCEPTIONS = "legacy-exceptions"
    MULTI_MEMORY = "multi-memory"
    MEMORY64 = "memory64"
    EXTENDED_CONST = "extended-const"
    FUNCTION_REFERENCES = "function-references"
    GC = "gc"
    WIDE_ARITHMETIC = "wide-arithmetic"
    CUSTOM_PAGE_SIZES = "custom-page-sizes"
    STACK_SWITCHING = "stack-switching"
    SHARED_EVERYTHING_THREADS = "shared-everything-threads"
    # The table of a call_indirect encoded with padding, as current LLVM does. It is part of reference-types; an engine
    # without it reads a fixed zero byte there.
    CALL_INDIRECT_OVERLONG = "call-indirect-overlong"
    COMPONENT_MODEL = "component-model"


WEBASSEMBLY_2 = frozenset(
    {
        Feature.MUTABLE_GLOBALS,
        Feature.SIGN_EXTENSION,
        Feature.SATURATING_FLOAT_TO_INT,
        Feature.MULTI_VALUE,
        Feature.BULK_MEMORY_OPT,
        Feature.BULK_MEMORY,
        Feature.REFERENCE_TYPES,
        Feature.CALL_INDIRECT_OVERLONG,
        Feature.SIMD,
    }
)
"""The features of WebAssembly 2.0 beyond 1.0, for the ``features`` of an engine that implements it."""


@attrs.frozen
class FuncType:
    """A function's type; a value type is written as in the text format (``i32``, ``funcref``, ``(ref null 3)``)."""

    params: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


@attrs.frozen
class Range:
    """The limits of a memory, in pages, or of a table, in elements; ``maximum`` is None where none is declared."""

    minimum: int
    maximum: int | None = None


@attrs.frozen
class MemoryType:
    """A linear memory.

    Args:
        limits: In pages of ``page_size`` bytes.
        memory64: Whether its addresses are 64 bits wide.
        shared: Whether threads may share it.
        page_size: Bytes in a page; 65536 except for a module with custom page sizes.
    """

    limits: Range
    memory64: bool = False
    shared: bool = False
    page_size: int = 65536


@attrs.frozen
class TableType:
    """A table of references; ``table64`` when its indices are 64 bits wide."""

    element: str
    limits: Range
    table64: bool = False


@attrs.frozen
class GlobalType:
    """A global variable's type."""

    value: str
    mutable: bool = False


@attrs.frozen
class TagType:
    """The type of an exception's tag, which has only parameters."""

    type: FuncType


ExternType = FuncType | MemoryType | TableType | GlobalType | TagType


@attrs.frozen
class Import:
    """Something that the host has to provide.

    Args:
        module: The first of its two names; empty for a component, whose imports have one name.
        name: The second name; for a component the whole name (``wasi:cli/stdout@0.2.3``).
        kind: ``func``, ``table``, ``memory``, ``global`` or ``tag``; for a component also ``instance``, ``component``,
            ``module``, ``type`` or ``value``.
        type: Its type, for a core module.
    """

    module: str
    name: str
    kind: str
    type: ExternType | None = None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.module else self.name


@attrs.frozen
class Export:
    """Something that a module offers; see :class:`Import` for ``kind`` and ``type``."""

    name: str
    kind: str
    type: ExternType | None = None

    def __str__(self) -> str:
        return self.name
