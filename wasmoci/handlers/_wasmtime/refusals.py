"""Converts wasmtime's errors about modules to exceptions."""

from __future__ import annotations

import re

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidModule, UnsupportedModule
from wasmoci.handlers._wasmtime.location import major
from wasmoci.handlers._wasmtime.traps import summary
from wasmoci.wasm.module import Feature, ModuleKind

if TYPE_CHECKING:
    from wasmoci.handlers._wasmtime.library import Error
    from wasmoci.wasm.module import Module

FEATURES = frozenset(Feature) - {
    Feature.LEGACY_EXCEPTIONS,
    Feature.CUSTOM_PAGE_SIZES,
    Feature.STACK_SWITCHING,
    Feature.SHARED_EVERYTHING_THREADS,
}
"""What the newest wasmtime has switched on by itself: everything that it calls stable."""

_SINCE = {Feature.WIDE_ARITHMETIC: 49}  # the major version that was the first to call it stable

_OFFSET = r" ?\(at offset (0x[0-9a-f]+)\)| at offset (\d+)(?=:)"
_TEXT = r"(?s)^(.*?)\n\s*--> <anon>:(\d+):(\d+)\n"


def features() -> frozenset[Feature]:
    """Return the features that the installed wasmtime enables by default."""
    return FEATURES - {feature for feature, first in _SINCE.items() if major() < first}


def refused(module: Module, error: Error) -> InvalidModule | UnsupportedModule:
    """Return the exception for a module that wasmtime refuses to compile."""
    reason = summary(error)
    missing = module.features - features() if module.kind is ModuleKind.CORE else None
    if missing:
        names = ", ".join(sorted(feature.value for feature in missing))
        return UnsupportedModule(f"{module.source}: needs {names}, which wasmtime doesn't have: {reason}")
    place = re.search(_OFFSET, reason)
    offset = None if place is None else int(place[1] or place[2], 0)
    return InvalidModule(f"wasmtime refuses it: {re.sub(_OFFSET, '', reason)}", source=module.source, offset=offset)


def unreadable(module: Module, error: Error) -> InvalidModule:
    """Return the exception for a text that wasmtime can't assemble."""
    match = re.match(_TEXT, str(error))
    if match is None:
        return InvalidModule(summary(error), source=module.source)
    return InvalidModule(f"line {match[2]}, column {match[3]}: {match[1]}", source=module.source)
