"""Reads a Wasm file: its kind (core module, component or text), its imports and exports, and the features it needs.

No engine is needed.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property

from wasmoci import wasm
from wasmoci._startup import attrs, sha256
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidModule
from wasmoci.wasm.core import CoreHead, read_head
from wasmoci.wasm.model import (
    WEBASSEMBLY_2,
    Export,
    ExternType,
    Feature,
    FuncType,
    GlobalType,
    Import,
    MemoryType,
    ModuleKind,
    Range,
    TableType,
    TagType,
)
from wasmoci.wasm.preamble import kind_of

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path


__all__ = [
    "WEBASSEMBLY_2",
    "Export",
    "ExternType",
    "Feature",
    "FuncType",
    "GlobalType",
    "Import",
    "MemoryType",
    "Module",
    "ModuleKind",
    "Range",
    "TableType",
    "TagType",
]

MAX_SIZE = 1 << 30


@attrs.frozen(eq=False, slots=False)
class Module:
    """A Wasm file that has been read; created by :meth:`read` or :meth:`from_bytes`.

    Args:
        kind: A core module, a component, or text.
        data: The file's bytes; for a text its source.
        source: The file's name, for messages.
        imports: What the host has to provide; empty for a text until an engine has assembled it.
        exports: What the module offers; empty for a text.
        memories: Its linear memories, imported ones first; empty for a component, which has none of its own.
        start: Whether a start function runs as soon as the module is instantiated.
    """

    kind: ModuleKind
    data: bytes = attrs.field(repr=False)
    source: str
    imports: tuple[Import, ...] = attrs.field(default=(), repr=False)
    exports: tuple[Export, ...] = attrs.field(default=(), repr=False)
    memories: tuple[MemoryType, ...] = attrs.field(default=(), repr=False)
    start: bool = False
    _head: CoreHead | None = attrs.field(default=None, repr=False)

    @classmethod
    def read(cls, path: Path | str | int, *, source: str | None = None) -> Module:
        """Read a module from a file.

        Args:
            path: A host path, or a file descriptor, which is read from its beginning and stays open.
            source: The file's name in messages; the path by default.

        Raises:
            InvalidModule: It can't be read, is not a regular file, is longer than 1 GiB, is not WebAssembly, or is
                damaged.
        """
        name = source or (f"descriptor {path}" if isinstance(path, int) else str(path))
        return cls.from_bytes(read_bytes(path, source=name), source=name)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, *, source: str = "module") -> Module:
        """Parse a module from bytes.

        Args:
            data: The binary or the text format.
            source: Its name in messages.

        Raises:
            InvalidModule: It is not WebAssembly, or damaged.
        """
        data = bytes(data)
        kind = kind_of(data, source=source)
        if kind is ModuleKind.TEXT:
            wasm.check_text(data, source=source)
            return cls(kind, data, source)
        if kind is ModuleKind.COMPONENT:
            imports, exports = wasm.read_component(data, source=source)
            return cls(kind, data, source, imports, exports)
        head = read_head(data, source=source)
        return cls(
            kind,
            data,
            source,
            tuple(head.imports),
            tuple(head.exports),
            tuple(head.memories),
            start=head.start,
            head=head,
        )

    @property
    def size(self) -> int:
        """The file's length in bytes."""
        return len(self.data)

    @cached_property
    def features(self) -> frozenset[Feature]:
        """The features that the module needs, from one pass over all of its code.

        For a component this is only the component model itself, and for a text nothing.

        Raises:
            InvalidModule: The code, the elements or the data are damaged.
        """
        if self._head is not None:
            return wasm.features_of(self.data, self._head, source=self.source)
        return frozenset({Feature.COMPONENT_MODEL} if self.kind is ModuleKind.COMPONENT else ())

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file's bytes, in hexadecimal."""
        return sha256.hexdigest(self.data)

    def export(self, name: str) -> Export | None:
        """Return the export with a name, or None."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Export]:
        return {export.name: export for export in reversed(self.exports)}  # the first one of each name

    def missing_imports(self, provided: Container[tuple[str, str]]) -> tuple[Import, ...]:
        """Return the imports that are not provided.

        Args:
            provided: What is provided, as pairs of module name and import name.
        """
        return tuple(item for item in self.imports if (item.module, item.name) not in provided)


def read_bytes(path: Path | str | int, *, source: str) -> bytes:
    """Read the bytes of a file that should be a module; see :meth:`Module.read`."""
    opened: int | None = None
    try:
        if isinstance(path, int):
            descriptor = path
        else:
            # Non-blocking: opening a FIFO must not block before it is recognised.
            descriptor = opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise InvalidModule(f"this is {what}; expected a WebAssembly module", source=source)
        return _read_all(descriptor, status.st_size, source)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidModule(f"can't be read: {reason}", source=source) from error
    finally:
        if opened is not None:
            os.close(opened)


def _read_all(descriptor: int, size: int, source: str) -> bytes:
    # A file that isn't WebAssembly is refused by its first bytes, whatever its size.
    if size > MAX_SIZE:
        kind_of(os.pread(descriptor, 4096, 0), source=source)
        raise InvalidModule(f"the file has {size} bytes; at most {MAX_SIZE} are supported", source=source)
    data = os.pread(descriptor, size, 0)
    while len(data) < size and (more := os.pread(descriptor, size - len(data), len(data))):
        data += more
    return data
