"""Determines a Wasm container's module and engine, on the host, before anything is created."""

from __future__ import annotations

from wasmoci import compiled
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch.selection import Selection, Wasm, select
from wasmoci.handlers.base import BaseHandler
from wasmoci.isolation import Isolation
from wasmoci.limits import Limits
from wasmoci.oci.filesystem import GuestFiles
from wasmoci.oci.program import GuestProgram
from wasmoci.oci.spec import Spec
from wasmoci.runtime.host_view import on_host
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.dispatch.dispatcher import Dispatcher
    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.isolation.compile_bounds import Group
    from wasmoci.oci.bundle import Bundle
    from wasmoci.oci.spec import Process
    from wasmoci.wasm.module import Module


@attrs.frozen
class Program:
    """A container's program.

    Args:
        module: Its module.
        files: Where it was looked for: the guest's files, as far as they are on the host.
    """

    module: Module
    files: GuestFiles


@attrs.frozen
class Compiled:
    """A compiled module.

    Args:
        module: The module's digest.
        file: The file in the compile cache, a host path.
    """

    module: str
    file: Path


def of_bundle(bundle: Bundle) -> Program:
    """Find a bundle's program in its root file system and its bind mounts.

    Raises:
        WasmociError: It isn't there, or can't be run on any engine.
    """
    found = GuestProgram.read(on_host(bundle.spec), bundle.rootfs)
    return Program(found.module, found.files)


def of_process(process: Process, rootfs: Path) -> Program:
    """Find the program of a process in a running container.

    Args:
        process: The process.
        rootfs: Its root with all mounts, a host path.

    Raises:
        WasmociError: It isn't there, or can't be run on any engine.
    """
    found = GuestProgram.read(Spec(process=process), rootfs)
    return Program(found.module, found.files)


def choose(
    dispatcher: Dispatcher, program: Program, *, named: str | None, group: Group, compiles: bool = False
) -> Selection:
    """Choose the engine for a program.

    The kernel makes the mounts and holds the limits, and the engine's process is one of its own already. So nothing is asked of
    an engine but to run the module.

    Args:
        dispatcher: Knows the engines and the user's preferences.
        program: What is to run.
        named: The engine that was asked for by name.
        group: What a process joins that validates or compiles the program.
        compiles: Whether it is compiled next, so that this may be done at the same go.

    Raises:
        CompileLimitExceeded: To validate or to compile it takes more than the container has.
        WasmociError: None fits, or the named one doesn't.
    """
    workload = Wasm(
        module=program.module,
        files=GuestFiles(rootfs=program.files.rootfs, read_only=False, cwd="/"),
        stdio=Stdio.inherit(),
        limits=Limits(),
        isolation=Isolation.INLINE,
        bounds=attrs.evolve(dispatcher.settings.bounds, group=group),
        runs=compiles and compiled.is_on(),
    )
    engine = named or dispatcher.settings.engine
    return select(workload, dispatcher.registry, named=engine, order=dispatcher.order(), first=dispatcher.first)


def compiled_for(handler: EngineHandler, program: Program) -> Compiled | None:
    """Return the compiled program, if its engine has compiled it to a file that another process can use; else None."""
    precompile, kept = getattr(handler, "precompile", None), getattr(handler, "kept", None)
    # Where something is kept, to compile is to find it; by wasmer's SDK it is no file for another process.
    if precompile is None or kept is None or kept(program.module) is None:
        return None
    file: Path | None = precompile(program.module)
    if file is None:
        return None
    # Of a text the engine's process compiles what is assembled of it.
    module = handler.assemble(program.module) if isinstance(handler, BaseHandler) else program.module
    return Compiled(module.digest, file)
