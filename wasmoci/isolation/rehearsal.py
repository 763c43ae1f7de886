"""Has a process load what a run needs before it is put into the jail, where no file of the host's can be read any more.

Handlers and the parts of this package load much when it is first needed. So a guest of the package's own, which does nothing, is run
in an empty directory; what even that doesn't need is loaded by name.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.spec import Process, Root, Spec
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from wasmoci.handlers.base import EngineHandler

# (module (memory (export "memory") 1) (func (export "_start")))
_PROGRAM = bytes.fromhex(
    "0061736d01000000010401600000030201000503010001071302066d656d6f72790200065f737461727400000a040102000b"
)
_LATER = (
    *("encodings.idna", "random", "socket", "tempfile", "traceback"),
    *("wasmoci.binary.component", "wasmoci.binary.constants", "wasmoci.binary.instructions", "wasmoci.binary.need"),
    *("wasmoci.binary.rewrite", "wasmoci.binary.text", "wasmoci.wasi.linux", "wasmoci.wasi.sockets"),
)


def rehearse(handler: EngineHandler) -> None:
    """Have a handler load what it needs for a run.

    Args:
        handler: The handler. What goes wrong with it here goes wrong in the run as well, and is told there.
    """
    for name in _LATER:
        importlib.import_module(name)
    preload = getattr(handler, "preload", None)  # of Preloading
    with contextlib.suppress(Exception):
        if preload is not None:
            preload()
        with tempfile.TemporaryDirectory(prefix="wasmoci-rehearsal-") as directory:
            Path(directory, "program.wasm").write_bytes(_PROGRAM)
            spec = Spec(process=Process(args=("/program.wasm",)), root=Root(path=directory, readonly=True))
            handler.execute(spec, Path(directory), stdio=Stdio.null())
    os.environ.clear()
