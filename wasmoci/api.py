"""The calls behind ``wasmoci.run``, ``wasmoci.run_async``, ``wasmoci.start``, ``wasmoci.explain`` and ``wasmoci.engines``."""

from __future__ import annotations

import contextlib

from wasmoci import determinism, dispatch
from wasmoci import isolation as isolations
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch import registry
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.opening import asks_for_wasm, opened
from wasmoci.isolation import Isolation
from wasmoci.limits import Limits
from wasmoci.oci import classification
from wasmoci.oci.classification import Detection
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from wasmoci.dispatch.explanation import Explanation
    from wasmoci.dispatch.opening import Environment
    from wasmoci.dispatch.registry import EngineStatus
    from wasmoci.isolation.child_process import Running
    from wasmoci.isolation.running_guest import RunningGuest
    from wasmoci.isolation.supervisor import Launched
    from wasmoci.oci.bundle import Bundle
    from wasmoci.oci.classification import Classification
    from wasmoci.oci.spec import Spec
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Source


def run(
    bundle: str | os.PathLike[str] | Bundle,
    *,
    engine: str | None = None,
    args: Sequence[str] | None = None,
    env: Environment | None = None,
    volumes: Iterable[str] = (),
    cwd: str | None = None,
    read_only: bool | None = None,
    stdin: Source = b"",
    stdio: Stdio | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    fuel: int | None = None,
    isolation: Isolation | str | None = None,
    platform: str | None = None,
    native: bool = False,
) -> ExecutionResult:
    """Run a bundle or an image to its end, with its output captured.

    Args:
        bundle: A bundle's directory (a host path), a bundle, or a reference to an image, such as ``oci-archive:app.tar``.
        engine: The engine, which means Wasm or an error; None to have one chosen.
        args: The program's arguments, in place of the spec's; the program itself stays. Of an image they take the place of its
            ``Cmd``, as with Podman.
        env: Variables to set, over the spec's.
        volumes: Bind mounts on top of the spec's: ``HOST:GUEST`` or ``HOST:GUEST:ro``.
        cwd: The working directory, an absolute guest path, in place of the spec's.
        read_only: Whether the guest may only read its root, in place of the spec's flag.
        stdin: What the guest reads; see :data:`wasmoci.stdio.Source`.
        stdio: All three streams, in place of ``stdin`` and captured outputs.
        timeout: Seconds of wall-clock time.
        memory: Bytes of linear memory; the spec's limit where this is None.
        fuel: Instructions, on an engine that counts them.
        isolation: ``inline``, ``process`` or ``jail``, which mean Wasm or an error; None to have it chosen.
        platform: Which of an image's platforms to take; None for one for Wasm, else this machine's. One for Wasm, as
            ``wasi/wasm``, means Wasm or an error.
        native: Whether an image's program may run natively, if it isn't Wasm; held as Podman holds its containers.

    Raises:
        WasmociError: It could not be run; see :mod:`wasmoci.errors`. A guest that ran and failed is no exception:
            see :meth:`ExecutionResult.check`.
        OSError: A file that ``stdin`` or ``stdio`` names can't be opened.
    """
    with opened(
        bundle,
        args=args,
        env=env,
        volumes=volumes,
        cwd=cwd,
        read_only=read_only,
        image=lambda: {"platform": platform},
    ) as loaded:
        return Dispatcher().run(
            loaded,
            engine=engine,
            stdio=Stdio.capture(stdin) if stdio is None else stdio,
            limits=Limits(time=timeout, memory=memory, fuel=fuel),
            isolation=None if isolation is None else Isolation(isolation),
            wasm=asks_for_wasm(platform) or None,
            native=native,
        )


async def run_async(
    bundle: str | os.PathLike[str] | Bundle,
    *,
    engine: str | None = None,
    args: Sequence[str] | None = None,
    env: Environment | None = None,
    volumes: Iterable[str] = (),
    cwd: str | None = None,
    read_only: bool | None = None,
    stdin: Source = b"",
    stdio: Stdio | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    fuel: int | None = None,
    isolation: Isolation | str | None = None,
    platform: str | None = None,
    native: bool = False,
) -> ExecutionResult:
    """Run a bundle or an image to its end, as :func:`run` does, in a task of asyncio or trio, also under anyio.

    It always runs in a process of its own. A cancellation kills the guest and waits until its processes and files are gone; an image
    that is being unpacked or pulled is waited for.

    Args:
        bundle: As for :func:`run`.
        engine: As for :func:`run`.
        args: As for :func:`run`.
        env: As for :func:`run`.
        volumes: As for :func:`run`.
        cwd: As for :func:`run`.
        read_only: As for :func:`run`.
        stdin: As for :func:`run`.
        stdio: As for :func:`run`; a function that takes an output is called on the loop's thread.
        timeout: As for :func:`run`.
        memory: As for :func:`run`.
        fuel: As for :func:`run`.
        isolation: ``process`` or ``jail``; None for the one that the engine is trusted with.
        platform: As for :func:`run`.
        native: As for :func:`run`.

    Raises:
        WasmociError: As of :func:`run`.
        RuntimeError: No event loop runs.
    """

    @contextlib.contextmanager
    def launch() -> Iterator[Running]:
        with (
            opened(
                bundle,
                args=args,
                env=env,
                volumes=volumes,
                cwd=cwd,
                read_only=read_only,
                image=lambda: {"platform": platform},
            ) as loaded,
            Dispatcher(servers=isolations.OnlyForked(isolations.DEFAULT)).launch(
                loaded,
                engine=engine,
                stdio=Stdio.capture(stdin) if stdio is None else stdio,
                limits=Limits(time=timeout, memory=memory, fuel=fuel),
                isolation=None if isolation is None else Isolation(isolation),
                wasm=asks_for_wasm(platform) or None,
                native=native,
            ) as running,
        ):
            yield running

    return await isolations.attend(launch())


def start(
    bundle: str | os.PathLike[str] | Bundle,
    *,
    engine: str | None = None,
    args: Sequence[str] | None = None,
    env: Environment | None = None,
    volumes: Iterable[str] = (),
    cwd: str | None = None,
    read_only: bool | None = None,
    stdin: Source | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    fuel: int | None = None,
    isolation: Isolation | str | None = None,
    platform: str | None = None,
    native: bool = False,
) -> RunningGuest:
    """Start a bundle or an image without waiting for its end; always in a process of its own.

    Nothing of it outlives the ``with`` block, nor this process, however that ends.

    Args:
        bundle: As for :func:`run`.
        engine: As for :func:`run`.
        args: As for :func:`run`.
        env: As for :func:`run`.
        volumes: As for :func:`run`.
        cwd: As for :func:`run`.
        read_only: As for :func:`run`.
        stdin: What the guest reads; None for what :meth:`RunningGuest.write` writes.
        timeout: Seconds of wall-clock time until it is stopped, from its beginning.
        memory: As for :func:`run`.
        fuel: As for :func:`run`.
        isolation: ``process`` or ``jail``; None for the one that the engine is trusted with.
        platform: As for :func:`run`.
        native: As for :func:`run`.

    Returns:
        A context manager that starts the guest, and gives itself once the guest has begun. Entering it raises a
        ``WasmociError`` when the guest can't be started.
    """
    chosen = determinism.current()  # on this thread; the guest is started on another one

    @contextlib.contextmanager
    def launch(stdio: Stdio) -> Iterator[Launched]:
        limits = Limits(time=timeout, memory=memory, fuel=fuel)
        with (
            determinism.applied(chosen),
            opened(
                bundle,
                args=args,
                env=env,
                volumes=volumes,
                cwd=cwd,
                read_only=read_only,
                image=lambda: {"platform": platform},
            ) as loaded,
            Dispatcher().launch(
                loaded,
                engine=engine,
                stdio=stdio,
                limits=limits,
                isolation=None if isolation is None else Isolation(isolation),
                wasm=asks_for_wasm(platform) or None,
                native=native,
            ) as running,
        ):
            yield isolations.Launched(running, isolations.Places(loaded))

    return isolations.RunningGuest(launch, stdin=stdin)


def explain(
    bundle: str | os.PathLike[str] | Bundle,
    *,
    engine: str | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    isolation: Isolation | str | None = None,
    platform: str | None = None,
    native: bool = False,
) -> Explanation:
    """Say what a run would do with a bundle or an image, and why; nothing of it runs.

    Args:
        bundle: As for :func:`run`.
        engine: As for :func:`run`.
        timeout: As for :func:`run`.
        memory: As for :func:`run`.
        isolation: As for :func:`run`.
        platform: As for :func:`run`.
        native: As for :func:`run`.

    Raises:
        WasmociError: There is no bundle to explain. What is wrong with the workload is part of the explanation.
    """
    with opened(bundle, image=lambda: {"platform": platform}) as loaded:
        return dispatch.explain_bundle(
            loaded,
            Dispatcher(),
            engine=engine,
            limits=Limits(time=timeout, memory=memory),
            isolation=None if isolation is None else Isolation(isolation),
            wasm=asks_for_wasm(platform) or None,
            native=native,
        )


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


def engines() -> tuple[EngineStatus, ...]:
    """What engines are registered, which of them are usable, and what each can do here."""
    return registry.default().statuses()
