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

This package is independent: of ``wasmoci`` it imports only the errors and ``_startup``, and otherwise only the standard library.

The names below are loaded when they are first used, because an engine may need only a few of them, without the host
itself.
"""

from __future__ import annotations

from wasmoci._startup import lazy
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

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "abi": ("Errno", "Fdflags", "Filetype", "Fstflags", "Oflags", "Rights"),
        "clocks": ("Clocks", "SystemClocks", "VirtualClocks"),
        "exit": ("ProcExit",),
        "file_tree": ("FileTree", "Mount", "Preopen"),
        "memory": ("Memory",),
        "signatures": ("FUNCTIONS", "MODULES", "Signature"),
        "streams": ("Stream",),
        "wasi": ("Function", "Wasi"),
    },
)
