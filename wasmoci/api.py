"""The calls behind ``wasmoci.run``, ``wasmoci.explain`` and ``wasmoci.engines``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs

from wasmoci import registry
from wasmoci._json import Node
from wasmoci.bundle import Bundle
from wasmoci.dispatcher import Dispatcher
from wasmoci.errors import InvalidMount, InvalidSpec
from wasmoci.explanation import Explanation, explain_bundle
from wasmoci.isolation import Isolation
from wasmoci.limits import Limits
from wasmoci.spec import Mount, Process, Root
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from wasmoci.registry import EngineStatus
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Source

Environment: TypeAlias = "Mapping[str, str] | Iterable[str]"
"""Variables, as a mapping or as ``NAME=value`` strings."""


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
) -> ExecutionResult:
    """Run a bundle to its end, with its output captured.

    Args:
        bundle: A bundle's directory (a host path), or a bundle.
        engine: The engine for a Wasm workload; None to have one chosen.
        args: The program's arguments, in place of the spec's; the program itself stays.
        env: Variables to set, over the spec's.
        volumes: Bind mounts on top of the spec's: ``HOST:GUEST`` or ``HOST:GUEST:ro``.
        cwd: The working directory, an absolute guest path, in place of the spec's.
        read_only: Whether the guest may only read its root, in place of the spec's flag.
        stdin: What the guest reads; see :data:`wasmoci.stdio.Source`.
        stdio: All three streams, in place of ``stdin`` and captured outputs.
        timeout: Seconds of wall-clock time.
        memory: Bytes of linear memory; the spec's limit where this is None.
        fuel: Instructions, on an engine that counts them.
        isolation: ``inline`` or ``process``; None to have it chosen.

    Raises:
        WasmociError: It could not be run; see :mod:`wasmoci.errors`. A guest that ran and failed is no exception:
            see :meth:`ExecutionResult.check`.
    """
    loaded = adapt(_load(bundle), args=args, env=env, volumes=volumes, cwd=cwd, read_only=read_only)
    return Dispatcher().run(
        loaded,
        engine=engine,
        stdio=Stdio.capture(stdin) if stdio is None else stdio,
        limits=Limits(time=timeout, memory=memory, fuel=fuel),
        isolation=None if isolation is None else Isolation(isolation),
    )


def explain(
    bundle: str | os.PathLike[str] | Bundle,
    *,
    engine: str | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    isolation: Isolation | str | None = None,
) -> Explanation:
    """Say what a run would do with a bundle, and why; nothing of it runs.

    Args:
        bundle: A bundle's directory (a host path), or a bundle.
        engine: As for :func:`run`.
        timeout: As for :func:`run`.
        memory: As for :func:`run`.
        isolation: As for :func:`run`.

    Raises:
        WasmociError: There is no bundle to explain. What is wrong with the workload is part of the explanation.
    """
    return explain_bundle(
        _load(bundle),
        Dispatcher(),
        engine=engine,
        limits=Limits(time=timeout, memory=memory),
        isolation=None if isolation is None else Isolation(isolation),
    )


def engines() -> tuple[EngineStatus, ...]:
    """What engines are registered, which of them are usable, and what each can do here."""
    return registry.default().statuses()


def adapt(
    bundle: Bundle,
    *,
    args: Sequence[str] | None = None,
    env: Environment | None = None,
    volumes: Iterable[str] = (),
    cwd: str | None = None,
    read_only: bool | None = None,
) -> Bundle:
    """A bundle with a caller's wishes over its spec; the arguments are those of :func:`run`.

    Raises:
        InvalidSpec: A variable isn't ``NAME=value``, the working directory isn't absolute, or a text can't be one.
        InvalidMount: A volume isn't ``HOST:GUEST[:ro]``.
    """
    spec = bundle.spec
    process = spec.process or Process()
    if args is not None:
        process = attrs.evolve(process, args=(*process.args[:1], *(_text(arg, "args") for arg in args)))
    if env is not None:
        process = attrs.evolve(process, env=_merge(process.env, env))
    if cwd is not None:
        if not _text(cwd, "cwd").startswith("/"):
            raise InvalidSpec(f"found {cwd!r}; an absolute guest path was expected", path="cwd")
        process = attrs.evolve(process, cwd=cwd)
    if process != (spec.process or Process()):
        spec = attrs.evolve(spec, process=process)
    mounts = tuple(_volume(text) for text in volumes)
    if mounts:
        spec = attrs.evolve(spec, mounts=spec.mounts + mounts)
    if read_only is not None:
        root = spec.root or Root(path=str(bundle.rootfs))
        spec = attrs.evolve(spec, root=attrs.evolve(root, readonly=read_only))
    return attrs.evolve(bundle, spec=spec)


def _load(bundle: str | os.PathLike[str] | Bundle) -> Bundle:
    return bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)


def _merge(variables: tuple[str, ...], env: Environment) -> tuple[str, ...]:
    given = [f"{name}={value}" for name, value in env.items()] if isinstance(env, Mapping) else list(env)
    merged = {variable.partition("=")[0]: variable for variable in variables}
    for variable in given:
        name, mark, _ = _text(variable, "env").partition("=")
        if not name or not mark:
            raise InvalidSpec(f"found {variable!r}; NAME=value was expected", path="env")
        merged[name] = variable
    return tuple(merged.values())


def _text(value: str, place: str) -> str:
    """A text of the caller's, held to the same rules as one of a spec's."""
    return Node(value, source=None, path=place).string()


def _volume(text: str) -> Mount:
    source, mark, rest = _text(text, "volumes").partition(":")
    destination, _, mode = rest.partition(":")
    if not source or not mark or not destination.startswith("/") or mode not in ("", "ro", "rw"):
        raise InvalidMount(f"volume {text!r}: HOST:GUEST, HOST:GUEST:ro or HOST:GUEST:rw was expected, GUEST absolute")
    options = ("rbind", mode or "rw")
    return Mount(destination=destination, source=str(Path(source).absolute()), type="bind", options=options)
