"""Reads WebAssembly binaries without an engine, and rewrites them for engines that need help.

The public functions for reading are in :mod:`wasmoci.wasm.module`, those for rewriting in :mod:`wasmoci.wasm.rewrite`. The names below
are loaded when they are first used, because most modules are binary core modules with plain constants.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.wasm.component import read_component as read_component
    from wasmoci.wasm.instructions import END as END
    from wasmoci.wasm.instructions import GLOBAL_GET as GLOBAL_GET
    from wasmoci.wasm.instructions import decode as decode
    from wasmoci.wasm.needed_features import features_of as features_of
    from wasmoci.wasm.text_format import check_text as check_text
    from wasmoci.wasm.text_format import is_text as is_text
    from wasmoci.wasm.text_format import name_stranger as name_stranger

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "component": ("read_component",),
        "instructions": ("END", "GLOBAL_GET", "decode"),
        "needed_features": ("features_of",),
        "text_format": ("check_text", "is_text", "name_stranger"),
    },
)
