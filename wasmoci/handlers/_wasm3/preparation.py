"""Prepares modules for wasm3, which reads only a subset of WebAssembly."""

from __future__ import annotations

import contextlib

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers import wasi_host
from wasmoci.handlers._wasm3.calls import ENTRY
from wasmoci.handlers._wasm3.encoding import mark_exports, without_memory
from wasmoci.handlers._wasm3.library import Runtime, Wasm3Error
from wasmoci.handlers._wasm3.stack import on_large_stack
from wasmoci.wasm.rewrite import rewrite

if TYPE_CHECKING:
    from wasmoci.wasm.module import Module


def prepare(module: Module, pages: int, *, tried: bool) -> bytes:
    """Prepare a module for wasm3, with a memory limit.

    Args:
        module: The module.
        pages: The limit, in pages of 64 KiB.
        tried: Whether wasm3 is to compile it, all of it, to see that it can.

    Raises:
        UnsupportedModule: wasm3 can't run it.
        InitialMemoryTooLarge: It begins with more memory.
    """
    data = rewrite(module.data, shorten=True, max_pages=pages, source=module.source)
    data = mark_exports(data, source=module.source)
    if tried:
        on_large_stack(lambda stack: _compile(module, data, stack), lambda: None)
    return data


def _compile(module: Module, data: bytes, stack: int) -> None:
    try:
        Runtime(data, stack=stack).close()
        with contextlib.closing(Runtime(without_memory(data, source=module.source), stack=stack)) as runtime:
            runtime.load()
            for item in wasi_host.imported_functions(module):
                runtime.link(item.module, item.name, ENTRY, 0)
            runtime.compile()
    except Wasm3Error as error:
        raise UnsupportedModule(f"{module.source}: wasm3 can't run it: {error.message}") from None
