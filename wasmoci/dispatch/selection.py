"""Selects the engine for a workload, and records why the others were not selected."""

from __future__ import annotations

import contextlib

from wasmoci import determinism, isolation
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch import trust
from wasmoci.errors import (
    CompileLimitExceeded,
    EngineError,
    InvalidModule,
    NoSuitableEngine,
    UnsupportedModule,
    UnsupportedWorkload,
    WasmociError,
)
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation import Isolation, preparation
from wasmoci.isolation.compile_bounds import DEFAULT as DEFAULT_BOUNDS
from wasmoci.isolation.handler_import import is_importable
from wasmoci.text.escape import one_line
from wasmoci.wasm.module import Module, ModuleKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wasmoci.dispatch.registry import Registry
    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.isolation.compile_bounds import Bounds
    from wasmoci.limits import Limits
    from wasmoci.oci.filesystem import GuestFiles
    from wasmoci.stdio import Stdio

KIND_NEEDS = {
    ModuleKind.CORE: Capability.WASI_PREVIEW1,
    ModuleKind.COMPONENT: Capability.WASI_02,
    ModuleKind.TEXT: Capability.TEXT,
}


@attrs.frozen(kw_only=True)
class Wasm:
    """The part of a Wasm workload that the choice of an engine depends on.

    Args:
        module: Its module.
        files: What it sees of the host's files.
        stdio: Its streams.
        limits: What it may use, the spec's limit included.
        isolation: Where the caller wants it to run, if anywhere.
        apart: Whether it has to run in a process of its own.
        bounds: What validating and compiling its module may use.
        runs: Whether it is run next, so that it may be compiled at the same go.
    """

    module: Module
    files: GuestFiles
    stdio: Stdio
    limits: Limits
    isolation: Isolation | None = None
    apart: bool = False
    bounds: Bounds = DEFAULT_BOUNDS
    runs: bool = False

    @property
    def needs(self) -> frozenset[Capability]:
        """The capabilities that an engine has to have."""
        needs = {KIND_NEEDS[self.module.kind]}
        if self.files.has_file_mounts:
            needs.add(Capability.FILE_MOUNTS)
        if self.files.read_only or any(mount.read_only for mount in self.files.mounts):
            needs.add(Capability.READ_ONLY)
        if self.limits.fuel is not None:
            needs.add(Capability.FUEL)
        if determinism.current() is not None:
            needs.add(Capability.DETERMINISM)
        return frozenset(needs)

    @property
    def wishes(self) -> frozenset[Capability]:
        """The capabilities that an engine should have: without them the workload runs with documented differences."""
        writable = not self.files.read_only or any(not mount.read_only for mount in self.files.mounts)
        return frozenset({Capability.LIVE_FILES}) if writable else frozenset()


@attrs.frozen(kw_only=True)
class Candidate:
    """An engine that was considered.

    Args:
        engine: Its name.
        chosen: Whether it is the one.
        reason: Why it was passed over, or chosen.
    """

    engine: str
    chosen: bool
    reason: str


@attrs.frozen(kw_only=True)
class Selection:
    """The engine for a workload.

    Args:
        handler: Its handler.
        isolation: Where it runs the guest.
        candidates: All engines that were looked at, in order.
        workload: What it was chosen for.
    """

    handler: EngineHandler
    isolation: Isolation
    candidates: tuple[Candidate, ...]
    workload: Wasm


def select(
    workload: Wasm,
    registry: Registry,
    *,
    named: str | None,
    order: Iterable[str],
    first: str | None = None,
    thorough: bool = False,
) -> Selection:
    """Choose the engine.

    An engine that is no sandbox by itself is looked at only when no other one fits, or when it is the ``first``. A module that
    an engine calls invalid which is a sandbox, and so validates it, is invalid: no other one is tried.

    Args:
        workload: What is to run.
        registry: Where the handlers are.
        named: The engine that was asked for by name, which alone is looked at.
        order: The engines to try where none was named.
        first: The engine that a list of the caller's or the user's own begins with.
        thorough: Whether to look at all of them, for an explanation; else the first that has all there is to wish for ends
            the search, for looking costs as much as compiling.

    Raises:
        UnknownEngine: The named engine isn't registered.
        EngineUnavailable: The named engine can't be loaded.
        UnsupportedModule: The named engine can't run the module.
        UnsupportedWorkload: The named engine can't give what is asked for.
        InvalidModule: The module is damaged.
        NoSuitableEngine: None was named, and none fits.
    """
    if named is not None:
        return _named(workload, registry, named, thorough=thorough)
    candidates: list[Candidate] = []
    for name in trust.in_order(registry, order, first):
        fits = any(candidate.chosen for candidate in candidates)
        if fits and not thorough and name != first and not trust.is_sandbox(registry, name):
            break
        candidates.append(_look(workload, registry, name))
        if candidates[-1].chosen and not thorough and workload.wishes <= registry.load(name).capabilities:
            break
    fitting = [candidate for candidate in candidates if candidate.chosen]
    if not fitting:
        raise NoSuitableEngine(_refusal(candidates), hint=_hint(registry))
    chosen = _chosen(fitting, workload, registry, first)
    handler = registry.load(chosen.engine)
    return Selection(
        handler=handler,
        isolation=_place(handler, workload),
        candidates=tuple(_settled(candidate, chosen, workload, registry) for candidate in candidates),
        workload=workload,
    )


def explored(
    workload: Wasm, registry: Registry, order: Iterable[str], first: str | None = None
) -> tuple[Candidate, ...]:
    """Return all engines with their verdicts, when none fits; the arguments are those of :func:`select`."""
    candidates: list[Candidate] = []
    verdict = ""
    for name in trust.in_order(registry, order, first):
        if verdict:
            candidates.append(Candidate(engine=name, chosen=False, reason=verdict))
            continue
        try:
            candidates.append(_look(workload, registry, name))
        except InvalidModule as error:
            candidates.append(Candidate(engine=name, chosen=False, reason=error.message))
            verdict = f"it isn't asked, as {name} calls the module invalid"
    return tuple(candidates)


def _look(workload: Wasm, registry: Registry, name: str) -> Candidate:
    """Like :func:`consider`, but the verdict of an engine that validates is final."""
    try:
        check(registry.load(name), workload)
    except InvalidModule as error:
        if trust.is_sandbox(registry, name):
            raise
        return Candidate(engine=name, chosen=False, reason=error.message)
    except (EngineError, UnsupportedModule, UnsupportedWorkload) as error:
        return Candidate(engine=name, chosen=False, reason=error.message)
    return Candidate(engine=name, chosen=True, reason="it offers what the workload needs")


def _chosen(fitting: list[Candidate], workload: Wasm, registry: Registry, first: str | None) -> Candidate:
    """Return the engine with all desired capabilities, preferably a trusted one."""
    trusted = [one for one in fitting if one.engine == first or trust.is_sandbox(registry, one.engine)] or fitting
    return next((one for one in trusted if workload.wishes <= registry.load(one.engine).capabilities), trusted[0])


def consider(workload: Wasm, registry: Registry, name: str) -> Candidate:
    """Return whether an engine could run a workload, and why not.

    Raises:
        CompileLimitExceeded: To find out took more than it may; it would on other engines.
    """
    try:
        return _look(workload, registry, name)
    except InvalidModule as error:
        return Candidate(engine=name, chosen=False, reason=error.message)


def check(handler: EngineHandler, workload: Wasm) -> None:
    """Refuse an engine for a workload.

    Raises:
        UnsupportedWorkload: It lacks a capability that is needed.
        UnsupportedModule: It can't run the module.
        EngineError: Its handler failed.
    """
    _check_needs(handler, workload)
    with _failures_of(handler):
        _assemble(handler, workload)
        _validate(handler, workload, _place(handler, workload))


def suggest(error: UnsupportedModule | UnsupportedWorkload, workload: Wasm, registry: Registry, name: str) -> None:
    """Add the engines that could run the workload to an engine's refusal."""
    others = []
    workload = attrs.evolve(workload, runs=False)
    for other in registry.names():
        with contextlib.suppress(CompileLimitExceeded):
            if other != name and consider(workload, registry, other).chosen:
                others.append(other)
    if others:
        suggestion = f"engines that can run it: {', '.join(others)}"
        error.hint = f"{error.hint}; {suggestion}" if error.hint else suggestion


def _check_needs(handler: EngineHandler, workload: Wasm) -> None:
    missing = workload.needs - handler.capabilities
    if missing:
        names = ", ".join(sorted(capability.value for capability in missing))
        raise UnsupportedWorkload(f"{handler.name} doesn't offer what the workload needs: {names}")


def _named(workload: Wasm, registry: Registry, name: str, *, thorough: bool) -> Selection:
    handler = registry.load(name)
    try:
        _check_needs(handler, workload)
        with _failures_of(handler):
            _assemble(handler, workload)
            place = _place(handler, workload)
            if place is Isolation.INLINE or thorough or _is_compiled_ahead(handler, workload, place):
                # Any other worker process validates by itself: an engine that crashes over a module does so there.
                _validate(handler, workload, place)
    except (UnsupportedModule, UnsupportedWorkload) as error:
        suggest(error, workload, registry, name)
        raise
    return Selection(
        handler=handler,
        isolation=place,
        candidates=(Candidate(engine=name, chosen=True, reason="it was named"),),
        workload=workload,
    )


def _is_compiled_ahead(handler: EngineHandler, workload: Wasm, place: Isolation) -> bool:
    """Return whether the module is compiled before its run in the jail, where there is no cache."""
    return (
        workload.runs
        and place is Isolation.JAIL
        and isolation.compiled_for(handler, workload.module, place, workload.limits) is not None
    )


def _assemble(handler: EngineHandler, workload: Wasm) -> None:
    """Assemble a text within its limits first, as the choice of the process depends on the resulting module."""
    if workload.module.kind is ModuleKind.TEXT:
        preparation.validate(handler, workload.module, workload.bounds)


def _validate(handler: EngineHandler, workload: Wasm, place: Isolation) -> None:
    if place is Isolation.INLINE and not is_importable(type(handler)):
        handler.validate(workload.module)  # where it runs: no other process can load it
        return
    ahead = isolation.compiled_for(handler, workload.module, place, workload.limits) if workload.runs else None
    preparation.validate(handler, workload.module, workload.bounds, ahead=ahead)


class _failures_of:  # noqa: N801  a context manager that is named as a function is, for each run: a generator takes longer
    """Converts a handler's unexpected exceptions to errors of its engine, so that other engines can still be tried."""

    def __init__(self, handler: EngineHandler) -> None:
        self._handler = handler

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, WasmociError):
            reason = f"{type(error).__name__}: {error}"
            raise EngineError(f"the handler of {self._handler.name} failed over the module: {reason}") from error


def _place(handler: EngineHandler, workload: Wasm) -> Isolation:
    return isolation.choose(
        handler, workload.module, workload.stdio, workload.limits, workload.isolation, apart=workload.apart
    )


def _settled(candidate: Candidate, chosen: Candidate, workload: Wasm, registry: Registry) -> Candidate:
    if candidate is chosen:
        return attrs.evolve(candidate, reason="the first that is installed and offers what the workload needs")
    if not candidate.chosen:
        return candidate
    missing = workload.wishes - registry.load(candidate.engine).capabilities
    if missing:
        names = ", ".join(sorted(capability.value for capability in missing))
        return attrs.evolve(candidate, chosen=False, reason=f"another one offers {names} as well")
    if not trust.is_sandbox(registry, candidate.engine) and trust.is_sandbox(registry, chosen.engine):
        return attrs.evolve(
            candidate,
            chosen=False,
            reason="it could, but is no sandbox by itself: for a guest that asks for it by name",
        )
    return attrs.evolve(candidate, chosen=False, reason="it could, but comes later")


def _refusal(candidates: Sequence[Candidate]) -> str:
    if not candidates:
        return "no engine is to be tried"
    reasons = "".join(f"\n  {candidate.engine}: {one_line(candidate.reason)}" for candidate in candidates)
    return f"no engine can run the workload:{reasons}"


def _hint(registry: Registry) -> str | None:
    if any(status.available for status in registry.statuses()):
        return None
    return "no engine is installed: pip install 'wasmoci[all]', or one of wasmoci[wasmtime], [wasmer] and [wasm3]"
