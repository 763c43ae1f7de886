"""Compiled modules and components: out of the compile cache, or compiled and put there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import wasmtime
from wasmtime import _ffi as ffi

from wasmoci import compiled
from wasmoci.compiled import identity
from wasmoci.handlers._wasmtime.refusals import refused

if TYPE_CHECKING:
    from typing_extensions import Self

    from wasmoci.module import Module

Code = TypeVar("Code", bound="_Code")


class _Code(Protocol):
    """What wasmtime's modules and components have in common."""

    def __init__(self, engine: wasmtime.Engine, wasm: bytes, /) -> None: ...

    def serialize(self) -> bytearray: ...

    @classmethod
    def deserialize(cls, engine: wasmtime.Engine, encoded: bytes, /) -> Self: ...

    @classmethod
    def deserialize_file(cls, engine: wasmtime.Engine, path: str, /) -> Self: ...


def key(module: Module, configuration: str) -> compiled.Key:
    """What the code of a module depends on.

    Args:
        module: The module.
        configuration: That of the engine, in any words.
    """
    return compiled.Key(module.digest, "wasmtime", identity.version("wasmtime", str(ffi.filename)), configuration)


def get(kind: type[Code], engine: wasmtime.Engine, module: Module, configuration: str) -> Code:
    """A module's code.

    Args:
        kind: ``wasmtime.Module`` or ``wasmtime.component.Component``.
        engine: The engine that it is for.
        module: The module.
        configuration: See :func:`key`.

    Raises:
        InvalidModule: wasmtime finds the module damaged.
        UnsupportedModule: It needs what wasmtime lacks.
    """

    def make() -> Code:
        try:
            return kind(engine, module.data)
        except wasmtime.WasmtimeError as error:
            raise refused(module, error) from None

    def load(path: str) -> Code | None:
        try:
            return kind.deserialize_file(engine, path)
        except wasmtime.WasmtimeError:
            pass
        try:  # a file system may not let its files be mapped as code
            return kind.deserialize(engine, Path(path).read_bytes())
        except (wasmtime.WasmtimeError, OSError):
            return None

    return compiled.fetch(key(module, configuration), make=make, dump=lambda code: bytes(code.serialize()), load=load)
