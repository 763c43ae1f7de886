"""A WASI preview 1 host that any engine can use.

::

    with Wasi(args=["hello"], preopens=[Preopen("site", "/")]) as wasi:
        for name, function in wasi.functions().items():
            ...                       # link it, under each of MODULES
        wasi.bind(memory)             # the instance's memory, as a Memory
        try:
            start()                   # the instance's entry point
        except ProcExit as exit:
            code = exit.code

This package is independent: it imports only the errors from the rest of ``wasmoci``, and otherwise only the standard
library.

The names below are loaded when they are first used, because an engine may need only a few of them, without the host
itself.
"""

from __future__ import annotations

import importlib

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.wasi.abi import Errno as Errno
    from wasmoci.wasi.abi import Fdflags as Fdflags
    from wasmoci.wasi.abi import Filetype as Filetype
    from wasmoci.wasi.abi import Fstflags as Fstflags
    from wasmoci.wasi.abi import Oflags as Oflags
    from wasmoci.wasi.abi import Rights as Rights
    from wasmoci.wasi.clocks import Clocks as Clocks
    from wasmoci.wasi.clocks import SystemClocks as SystemClocks
    from wasmoci.wasi.clocks import VirtualClocks as VirtualClocks
    from wasmoci.wasi.exit import ProcExit as ProcExit
    from wasmoci.wasi.file_tree import FileTree as FileTree
    from wasmoci.wasi.file_tree import Mount as Mount
    from wasmoci.wasi.file_tree import Preopen as Preopen
    from wasmoci.wasi.memory import Memory as Memory
    from wasmoci.wasi.signatures import FUNCTIONS as FUNCTIONS
    from wasmoci.wasi.signatures import MODULES as MODULES
    from wasmoci.wasi.signatures import Signature as Signature
    from wasmoci.wasi.streams import Stream as Stream
    from wasmoci.wasi.wasi import Function as Function
    from wasmoci.wasi.wasi import Wasi as Wasi

_HOMES = {
    "Clocks": "clocks",
    "Errno": "abi",
    "FUNCTIONS": "signatures",
    "Fdflags": "abi",
    "FileTree": "file_tree",
    "Filetype": "abi",
    "Fstflags": "abi",
    "Function": "wasi",
    "MODULES": "signatures",
    "Memory": "memory",
    "Mount": "file_tree",
    "Oflags": "abi",
    "Preopen": "file_tree",
    "ProcExit": "exit",
    "Rights": "abi",
    "Signature": "signatures",
    "Stream": "streams",
    "SystemClocks": "clocks",
    "VirtualClocks": "clocks",
    "Wasi": "wasi",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  a list all the same


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
