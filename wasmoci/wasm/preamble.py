"""Determines the kind of a Wasm file by its first bytes."""

from __future__ import annotations

from wasmoci import wasm
from wasmoci.errors import InvalidModule
from wasmoci.wasm.model import ModuleKind

MAGIC = b"\0asm"
_PREAMBLE_SIZE = 8

_HINT = "expected a WebAssembly module, which begins with the bytes 00 61 73 6d, or one in the text format"


def kind_of(data: bytes, *, source: str | None) -> ModuleKind:
    """Distinguish core modules, components and the text format.

    Args:
        data: The file.
        source: Its name, for messages.

    Raises:
        InvalidModule: It is none of them, or has an unknown version; the message says what it is instead.
    """
    if not data:
        raise InvalidModule("the file is empty", source=source, offset=0, hint=_HINT)
    if data.startswith(MAGIC):
        return _binary_kind(data, source)
    if MAGIC.startswith(data):
        raise InvalidModule(
            f"the file ends after {len(data)} bytes, inside the preamble", source=source, offset=len(data)
        )
    if wasm.is_text(data):
        return ModuleKind.TEXT
    raise InvalidModule(f"this is {wasm.name_stranger(data)}, not WebAssembly", source=source, offset=0, hint=_HINT)


def _binary_kind(data: bytes, source: str | None) -> ModuleKind:
    if len(data) < _PREAMBLE_SIZE:
        raise InvalidModule(
            f"the file ends after {len(data)} bytes, inside the preamble of {_PREAMBLE_SIZE}",
            source=source,
            offset=len(data),
        )
    version = int.from_bytes(data[4:6], "little")
    layer = int.from_bytes(data[6:8], "little")
    if (version, layer) == (1, 0):
        return ModuleKind.CORE
    if (version, layer) == (0x0D, 1):
        return ModuleKind.COMPONENT
    what = {0: "core module", 1: "component"}.get(layer)
    found = f"a {what} of version {version:#x}" if what else f"version {version:#x} of an unknown layer {layer:#x}"
    raise InvalidModule(
        f"this is {found}; expected a core module of version 1 or a component of version 0xd", source=source, offset=4
    )
