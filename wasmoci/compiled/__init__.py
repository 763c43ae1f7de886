"""Caches compiled modules on disk, so that a process that runs the same module again loads it instead of compiling it.

The names below are loaded when they are first used, because a process in a container has no directory of entries.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.compiled.code_cache import Key as Key
    from wasmoci.compiled.code_cache import alone as alone
    from wasmoci.compiled.code_cache import collected as collected
    from wasmoci.compiled.code_cache import fetch as fetch
    from wasmoci.compiled.code_cache import forgo as forgo
    from wasmoci.compiled.code_cache import forked as forked
    from wasmoci.compiled.code_cache import is_on as is_on
    from wasmoci.compiled.code_cache import is_provided as is_provided
    from wasmoci.compiled.code_cache import keep as keep
    from wasmoci.compiled.code_cache import known as known
    from wasmoci.compiled.code_cache import locate as locate
    from wasmoci.compiled.code_cache import provide as provide
    from wasmoci.compiled.code_cache import warn as warn
    from wasmoci.compiled.directories import Unusable as Unusable
    from wasmoci.compiled.directories import find as find
    from wasmoci.compiled.entries import Entries as Entries
    from wasmoci.compiled.eviction import make_room as make_room

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "code_cache": (
            "Key",
            "alone",
            "collected",
            "fetch",
            "forgo",
            "forked",
            "is_on",
            "is_provided",
            "keep",
            "known",
            "locate",
            "provide",
            "warn",
        ),
        "directories": ("Unusable", "find"),
        "entries": ("Entries",),
        "eviction": ("make_room",),
    },
)
