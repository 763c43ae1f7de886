"""Implements ``wasmoci.run``, ``wasmoci.run_async``, ``wasmoci.start``, ``wasmoci.explain`` and ``wasmoci.engines``."""

from __future__ import annotations

import contextlib
import importlib

from wasmoci import determinism, dispatch, signatures
from wasmoci import isolation as isolations
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch import registry
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.opening import opened
from wasmoci.dispatch.request import Request
from wasmoci.errors import EngineUnavailable
from wasmoci.oci import classification
from wasmoci.oci.classification import Detection
from wasmoci.options import RunOptions, StartOptions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from wasmoci.dispatch.explanation import Explanation
    from wasmoci.dispatch.registry import EngineStatus
    from wasmoci.isolation.child_process import ChildProcess
    from wasmoci.isolation.running_guest import RunningGuest
    from wasmoci.isolation.supervisor import Launched
    from wasmoci.oci.classification import Classification
    from wasmoci.oci.spec import Spec
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Stdio


_OF_A_RUN = (
    "wasmoci.compiled.code_cache",
    "wasmoci.compiled.entries",
    "wasmoci.compiled.lock",
    "wasmoci.isolation.jail.guest",
    "wasmoci.isolation.jail.process",
    "wasmoci.isolation.jail.support",
    "wasmoci.isolation.memory_limit",
    "wasmoci.isolation.new_worker",
    "wasmoci.isolation.preparation_process",
    "wasmoci.isolation.warm_servers",
    "wasmoci.isolation.warm_worker",
    "wasmoci.isolation.worker_process",
    "wasmoci.oci.json_writer",
    "wasmoci.wasm.needed_features",
)
"""The modules that some run imports when it comes to it, with what they import."""


@signatures.function(RunOptions)
def run(options: RunOptions) -> ExecutionResult:
    """Run a bundle or an image to its end, with its output captured.

    Raises:
        WasmociError: It could not be run; see :mod:`wasmoci.errors`. A guest that ran and failed is no exception:
            see :meth:`ExecutionResult.check`.
        OSError: A file that ``stdin`` or ``stdio`` names can't be opened.
        TypeError: An argument is of another type than it has to be.
        ValueError: A limit isn't more than 0, or there is no such isolation.
    """
    with opened(options) as bundle:
        return Dispatcher().execute(Request.of(options, bundle, options.streams))


@signatures.function(RunOptions)
async def run_async(options: RunOptions) -> ExecutionResult:
    """Run a bundle or an image to its end, as :func:`run` does, in a task of asyncio or trio, also under anyio.

    It always runs in a process of its own: ``isolation`` is ``process`` or ``jail``, or None for the one that the engine is trusted
    with. A cancellation kills the guest and waits until its processes and files are gone; an image that is being unpacked or pulled is
    waited for. A function that takes an output is called on the loop's thread.

    Raises:
        WasmociError: As of :func:`run`.
        RuntimeError: No event loop runs.
    """

    @contextlib.contextmanager
    def launch() -> Iterator[ChildProcess]:
        dispatcher = Dispatcher(servers=isolations.OnlyForked(isolations.DEFAULT))
        with opened(options) as bundle, dispatcher.launch(Request.of(options, bundle, options.streams)) as running:
            yield running

    return await isolations.supervise(launch())


@signatures.function(StartOptions)
def start(options: StartOptions) -> RunningGuest:
    """Start a bundle or an image without waiting for its end.

    It always runs in a process of its own: ``isolation`` is ``process`` or ``jail``, or None for the one that the engine is trusted
    with. Nothing of it outlives the ``with`` block, nor this process, however that ends.

    Returns:
        A context manager that starts the guest, and gives itself once the guest has begun. Entering it raises a
        ``WasmociError`` when the guest can't be started.
    """
    chosen = determinism.current()  # on this thread; the guest is started on another one

    @contextlib.contextmanager
    def launch(stdio: Stdio) -> Iterator[Launched]:
        with (
            determinism.applied(chosen),
            opened(options) as bundle,
            Dispatcher().launch(Request.of(options, bundle, stdio)) as running,
        ):
            yield isolations.Launched(running, isolations.SharedFiles(bundle))

    return isolations.RunningGuest(launch, stdin=options.stdin)


@signatures.function(RunOptions)
def explain(options: RunOptions) -> Explanation:
    """Say what :func:`run` would do with the same arguments, and why; nothing of the workload runs.

    Raises:
        WasmociError: There is no bundle to explain. What is wrong with the workload is part of the explanation.
    """
    with opened(options) as bundle:
        return dispatch.explain_bundle(Request.of(options, bundle, options.streams), Dispatcher())


def classify(
    spec: Spec,
    rootfs: Path | None = None,
    *,
    handlers: Collection[str] | None = None,
    detection: Detection = Detection.ANNOTATIONS,
    forced: str | None = None,
    wasm: bool = False,
    quiet: bool = False,
) -> Classification:
    """Decide whether a workload is Wasm or native.

    Args:
        spec: The OCI runtime spec.
        rootfs: Its root file system, a host path; with it the smart check reads the program's first bytes.
        handlers: The names of the engine handlers; None for those that are registered.
        detection: What decides where no annotation does.
        forced: ``wasm``, or an engine's name, when the caller makes every container but a sandbox Wasm.
        wasm: Whether the caller asked for Wasm, so that the program decides where no annotation does. What is native all the same
            is for the caller to refuse.
        quiet: Whether to keep a warning to the result, as of what isn't run.

    Raises:
        InvalidSpec: A handler was forced, and the spec has ``run.oci.handler`` as well.
    """
    return classification.classify(
        spec,
        rootfs,
        handlers=registry.default().names if handlers is None else lambda: handlers,
        detection=detection,
        forced=forced,
        wasm=wasm,
        quiet=quiet,
    )


def preload(engines: Collection[str] | None = None) -> None:
    """Load engines now, and what a run in this process imports, rather than at the first run.

    For a program that forks, before it starts threads: a process that is forked while another thread imports something waits for ever
    when it imports that, too. It also makes the first run faster. Nothing is started, neither a thread nor a process.

    Args:
        engines: The names of the engines; None for all that can be used here.

    Raises:
        EngineError: One that is named isn't registered, or can't be used.
    """
    known = registry.default()
    for name in known.names() if engines is None else engines:
        try:
            handler = known.load(name)
            load = getattr(handler, "preload", None)  # of Preloading
            if load is not None:
                load()
        except EngineUnavailable:
            if engines is not None:
                raise
    for module in _OF_A_RUN:
        importlib.import_module(module)


def engines() -> tuple[EngineStatus, ...]:
    """Return the registered engines, with whether they are usable and their capabilities here."""
    return registry.default().statuses()
