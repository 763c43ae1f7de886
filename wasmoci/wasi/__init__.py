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

The package stands alone: it imports nothing of ``wasmoci`` but the errors, and nothing that isn't in the standard library.
"""

from wasmoci.wasi.abi import Errno, Fdflags, Filetype, Fstflags, Oflags, Rights
from wasmoci.wasi.clocks import Clocks, SystemClocks, VirtualClocks
from wasmoci.wasi.memory import Memory
from wasmoci.wasi.process import ProcExit
from wasmoci.wasi.signatures import FUNCTIONS, MODULES, Signature
from wasmoci.wasi.streams import Stream
from wasmoci.wasi.tree import FileTree, Mount, Preopen
from wasmoci.wasi.wasi import Function, Wasi

__all__ = [
    "FUNCTIONS",
    "MODULES",
    "Clocks",
    "Errno",
    "Fdflags",
    "FileTree",
    "Filetype",
    "Fstflags",
    "Function",
    "Memory",
    "Mount",
    "Oflags",
    "Preopen",
    "ProcExit",
    "Rights",
    "Signature",
    "Stream",
    "SystemClocks",
    "VirtualClocks",
    "Wasi",
]
