"""Loads what a run needs before the process enters the jail, where no file of the host can be read any more.

Handlers and the parts of this package load much when it is first needed. A handler that is ``Preloading`` loads its own by itself; for any
other a guest of the package's own, which does nothing, is run by a child of the process, to see what that imports.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci import compiled
from wasmoci.handlers.base import BaseHandler
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation.jail import allowed_syscalls, support
from wasmoci.limits import Limits
from wasmoci.oci.spec import Process, Root, Spec
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wasmoci.handlers.contract import EngineHandler

# (module (memory (export "memory") 1) (func (export "_start")))
_PROGRAM = bytes.fromhex(
    "0061736d01000000010401600000030201000503010001071302066d656d6f72790200065f737461727400000a040102000b"
)
_ENTRY = "/program.wasm"
_PREFIX = "wasmoci-rehearsal-"
_LATER = (
    *("encodings.idna", "hashlib", "random", "socket", "tempfile", "traceback"),
    *("wasmoci.compiled.code_cache", "wasmoci.oci.json_reader"),
    *(
        "wasmoci.wasm.c_library",
        "wasmoci.wasm.component",
        "wasmoci.wasm.element_bounds",
        "wasmoci.wasm.constant_expressions",
        "wasmoci.wasm.instructions",
        "wasmoci.wasm.needed_features",
    ),
    "wasmoci._startup.attrs_twin",
    *("wasmoci.isolation.jail.entering", "wasmoci.isolation.jail.guest"),
    *(
        "wasmoci.wasm.rewrite",
        "wasmoci.wasm.text_format",
        "wasmoci.wasi.syscalls",
        "wasmoci.wasi.listing",
        "wasmoci.wasi.sockets",
    ),
)


def rehearse(handler: EngineHandler) -> None:
    """Let a handler load what it needs for a run, in a process with a single thread.

    Args:
        handler: The handler. What goes wrong with its guest here goes wrong in the run as well, and is told there.
    """
    _load(_LATER)
    _prepare()
    preload = getattr(handler, "preload", None)  # of Preloading
    if preload is None:
        _load(_loaded_by_a_guest(handler))
    else:
        preload()
        _load(_parts(handler))


def _parts(handler: EngineHandler) -> Iterator[str]:
    """The modules of the package in which a handler of this project keeps its parts: some are loaded when a guest needs them."""
    package = f"{type(handler).__module__.rpartition('.')[0]}._{handler.name}"
    parts = sys.modules.get(package)
    for module in pkgutil.iter_modules([] if parts is None else parts.__path__):
        yield f"{package}.{module.name}"


def practise(handler: EngineHandler) -> None:
    """Prepare a module of this package once, so that processes forked from this one have loaded all that this needs.

    What Python does for the first time writes to its memory, and each page that a forked process writes to is copied.

    Args:
        handler: The handler.
    """
    if not isinstance(handler, BaseHandler):
        return
    with contextlib.suppress(Exception), tempfile.TemporaryDirectory(prefix=_PREFIX) as directory, _own(directory):
        document = {"process": {"args": [_ENTRY]}, "root": {"path": directory, "readonly": True}}
        handler.remember(Spec.from_dict(document, directory=directory), Path(directory), Limits())


def run_ahead(handler: EngineHandler, directory: str) -> None:
    """Run this package's own guest once, in a process that waits for its guest; see :func:`practise`.

    Args:
        handler: The handler. One that is a sandbox by itself may start threads that stay, and runs nothing.
        directory: An empty directory, which stays so.
    """
    if Capability.SANDBOXED not in handler.capabilities:
        _run(handler, directory)


def _prepare() -> None:
    """Load the modules of the jail."""
    if not support.support().problem:
        for sees_only_its_own in (True, False):
            allowed_syscalls.of_any_process(sees_only_its_own=sees_only_its_own)


def _load(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _loaded_by_a_guest(handler: EngineHandler) -> list[str]:
    """Return the modules that a run imports, by running a guest in another process, as an engine may start threads."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(told)
            before = set(sys.modules)
            with tempfile.TemporaryDirectory(prefix=_PREFIX) as directory:
                _run(handler, directory)
            with open(tell, "w", encoding="utf-8") as file:
                file.write("\n".join(name for name in sys.modules if name not in before))
        finally:
            os._exit(0)
    os.close(tell)
    with open(told, encoding="utf-8") as file:
        names = file.read().split("\n")
    os.waitpid(child, 0)
    return names


def _run(handler: EngineHandler, directory: str) -> None:
    with contextlib.suppress(Exception), _own(directory):
        spec = Spec(process=Process(args=(_ENTRY,)), root=Root(path=directory, readonly=True))
        # Somebody's handler may write though the guest doesn't, and the process's own streams may be a guest's by now. No file of
        # the host's may be there, not even /dev/null.
        handler.execute(spec, Path(directory), stdio=Stdio.capture())


@contextlib.contextmanager
def _own(directory: str) -> Iterator[None]:
    """Make a directory a root with the package's own program, of which the compile cache keeps nothing."""
    program = Path(directory, _ENTRY[1:])
    program.write_bytes(_PROGRAM)
    try:
        with compiled.collected(lambda _key, _data: None):
            yield
    finally:
        program.unlink()
