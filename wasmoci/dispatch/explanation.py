"""Explains a decision: every rule, every engine, and what the guest would see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.dispatch import native_program
from wasmoci.dispatch.selection import Candidate, explored
from wasmoci.errors import CompileLimitExceeded, NativeRefused, WasmociError
from wasmoci.integration import Missing, missing, misspelt
from wasmoci.native import check_mounts, check_seccomp, find
from wasmoci.oci.classification import RULES, Classification, Kind
from wasmoci.oci.entrypoint import Entrypoint
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wasmoci.dispatch.dispatcher import Dispatcher
    from wasmoci.dispatch.request import Request
    from wasmoci.limits import Limits
    from wasmoci.oci.bundle import Bundle
    from wasmoci.oci.guest_files import GuestFiles


@attrs.frozen(kw_only=True)
class RuleOutcome:
    """The outcome of a rule.

    Args:
        row: Its number in the table.
        condition: When it applies.
        outcome: ``applies``, ``does not apply`` or ``not reached``.
    """

    row: int
    condition: str
    outcome: str


@attrs.frozen(kw_only=True)
class Explanation:
    """The whole decision about a bundle; ``str`` returns it as text, :meth:`to_dict` as data.

    Args:
        bundle: The bundle's directory, a host path.
        classification: Wasm or native, and why.
        rules: Every rule, in order.
        runs_on: The engine or the native runtime that would run it; None when it can't be run.
        isolation: Where the guest would run, for a Wasm workload.
        problem: Why it can't be run; empty when it can.
        hint: What to do about that.
        engines: Every engine that was looked at, for a Wasm workload.
        module: What is known of the module: kind, size, digest, imports' modules, features.
        guest: What the guest would see: arguments, directories, limits, what is left out.
        missing: For a native workload whose program is WebAssembly: the annotation that it lacks, and how it gets one.
        misspelt: Annotations that look like one that would decide, each with that one's name.
        image: For an image: ``reference``, and ``left_out``, the names of its labels and annotations that aren't in the spec.
    """

    bundle: str
    classification: Classification
    rules: tuple[RuleOutcome, ...]
    runs_on: str | None = None
    isolation: str | None = None
    problem: str = ""
    hint: str = ""
    engines: tuple[Candidate, ...] = ()
    module: Mapping[str, Any] = attrs.field(factory=dict)
    guest: Mapping[str, Any] = attrs.field(factory=dict)
    missing: Missing | None = None
    misspelt: Mapping[str, str] = attrs.field(factory=dict)
    image: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same for ``json.dumps``."""
        document = attrs.asdict(self, value_serializer=lambda _instance, _field, value: _plain(value))
        return {**document, "classification": self.classification.to_dict()}

    def __str__(self) -> str:
        return "\n".join(map(one_line, _lines(self)))


def explain_bundle(request: Request, dispatcher: Dispatcher, *, made: bool = False) -> Explanation:
    """Decide like a run, and record every step, without running anything.

    Args:
        request: What would be asked of the dispatcher.
        dispatcher: What would run it.
        made: Whether a native runtime has made it already, so that its namespaces are no matter of ours.

    Raises:
        WasmociError: The settings or the annotations contradict each other.
    """
    bundle = request.bundle
    classification = dispatcher.classify(request, quiet=True)
    explanation = Explanation(
        bundle=str(bundle.path),
        classification=classification,
        rules=tuple(_rules(classification)),
        misspelt=dict(misspelt(bundle.spec)),
        image=None if bundle.image is None else {**attrs.asdict(bundle.image), "left_out": list(bundle.image.left_out)},
    )
    if not bundle.rootfs.is_dir():
        return attrs.evolve(
            explanation,
            problem=f"its root file system {bundle.rootfs} isn't there, so what its program is can't be told",
            hint="engines unmount it when a container ends; podman mount, or a start of the container, brings it back",
        )
    if classification.kind is Kind.NATIVE:
        explanation = attrs.evolve(explanation, missing=missing(bundle, classification))
        try:
            dispatcher.check_native(request, classification)
        except NativeRefused as error:
            return attrs.evolve(explanation, problem=error.message, hint=error.hint or "")
        return _explain_native(explanation, bundle, dispatcher, made=made)
    try:
        program = native_program.read(bundle, classification)
    except WasmociError as error:
        return attrs.evolve(explanation, problem=error.message, hint=error.hint or "")
    module, files = program.module, program.files
    explanation = attrs.evolve(
        explanation,
        module={
            "kind": module.kind.value,
            "size": module.size,
            "digest": module.digest,
            "imports": sorted({item.module for item in module.imports}),
            "features": sorted(feature.value for feature in module.features),
        },
        guest=_guest(bundle, files, request.effective_limits),
    )
    try:
        selection = dispatcher.select(request, classification, program, thorough=True)
    except WasmociError as error:
        workload = dispatcher.workload(request, program)
        named = dispatcher.named(classification, request.engine)
        names = dispatcher.order() if named is None else (named,)
        return attrs.evolve(
            explanation,
            problem=error.message.partition("\n")[0].rstrip(":"),
            hint=error.hint or "",
            engines=()
            if isinstance(error, CompileLimitExceeded)  # nor would it be found out now
            else explored(workload, dispatcher.registry, names, dispatcher.first),
        )
    return attrs.evolve(
        explanation,
        runs_on=selection.handler.name,
        isolation=selection.isolation.value,
        engines=selection.candidates,
    )


def remembered(bundle: str, decision: Mapping[str, Any], problem: str) -> Explanation:
    """What can be said of a workload of which nothing but the decision is left.

    Args:
        bundle: The directory in which its bundle was, a host path.
        decision: As :meth:`Classification.to_dict` has given it.
        problem: Why there is no more to say, or why it was refused.
    """
    classification = Classification(**{**decision, "kind": Kind(decision["kind"])})
    return Explanation(
        bundle=bundle, classification=classification, rules=tuple(_rules(classification)), problem=problem
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _rules(classification: Classification) -> Iterable[RuleOutcome]:
    # A container's own variant is decided by row 7 and reported under it; any other row is reported under its own number.
    reached = False
    for rule in RULES:
        applies = rule.row == classification.rule
        outcome = "applies" if applies else "not reached" if reached else "does not apply"
        reached = reached or applies
        yield RuleOutcome(row=rule.row, condition=rule.condition, outcome=outcome)


def _explain_native(explanation: Explanation, bundle: Bundle, dispatcher: Dispatcher, *, made: bool) -> Explanation:
    try:
        runtime = find(dispatcher.settings.native_runtime)
        if not made:
            check_mounts(bundle)
        check_seccomp(bundle, runtime.name, runtime.path)
    except WasmociError as error:
        return attrs.evolve(explanation, problem=error.message, hint=error.hint or "")
    return attrs.evolve(explanation, runs_on=f"{runtime.name} ({runtime.path})")


def _guest(bundle: Bundle, files: GuestFiles, limits: Limits) -> dict[str, Any]:
    entrypoint = Entrypoint.of(bundle.spec)
    directories = [{"path": "/", "source": str(files.rootfs), "read_only": files.read_only}]
    directories += [
        {
            "path": mount.destination,
            "source": "tmpfs" if mount.source is None else str(mount.source),
            "read_only": mount.read_only,
        }
        for mount in files.mounts
    ]
    return {
        "argv": list(entrypoint.argv),
        "function": entrypoint.function,
        "environment": [name for name, _ in entrypoint.env],
        "cwd": files.cwd,
        "directories": directories,
        "left_out": [{"path": path, "type": kind} for path, kind in files.omitted],
        "limits": attrs.asdict(limits),
    }


def _lines(explanation: Explanation) -> Iterable[str]:
    classification = explanation.classification
    yield f"{explanation.bundle}: {classification.kind.value}"
    yield f"  because {classification.reason} (rule {classification.rule})"
    if classification.warning:
        yield f"  warning: {classification.warning}"
    if explanation.runs_on is not None:
        where = f", isolation {explanation.isolation}" if explanation.isolation else ""
        yield f"  runs on {explanation.runs_on}{where}"
    if explanation.problem:
        yield f"  can't be run: {explanation.problem}"
    if explanation.hint:
        yield f"  {explanation.hint}"
    yield from _annotation_lines(explanation)
    yield "rules"
    for rule in explanation.rules:
        yield f"  {rule.row:>2}  {rule.outcome:<14}  {rule.condition}"
    if explanation.engines:
        yield from _engine_lines(explanation)
    if explanation.module:
        yield from _module_lines(explanation.module)
    if explanation.guest:
        yield from _guest_lines(explanation.guest)


def _annotation_lines(explanation: Explanation) -> Iterable[str]:
    if explanation.missing is not None:
        yield from _missing_lines(explanation.missing)
    for found, meant in explanation.misspelt.items():
        yield f"  but the annotation {found!r} may be meant to be {meant!r}"
    if explanation.image is not None:
        for name in explanation.image["left_out"]:
            yield f"  left out     {name!r}, a label or annotation of the image that a spec doesn't get"


def _missing_lines(lack: Missing) -> Iterable[str]:
    yield f"  but {lack.reason}{f' (made by {lack.origin})' if lack.origin else ''}"
    for fix in lack.fixes:
        yield f"    {fix.what}:"
        yield f"      {fix.line}"
        if fix.command:
            yield f"      (written by: {fix.command})"


def _engine_lines(explanation: Explanation) -> Iterable[str]:
    yield "engines"
    width = max(len(candidate.engine) for candidate in explanation.engines)
    for candidate in explanation.engines:
        mark = "->" if candidate.chosen and explanation.runs_on else "  "
        yield f"  {mark} {candidate.engine:<{width}}  {candidate.reason}"


def _module_lines(module: Mapping[str, Any]) -> Iterable[str]:
    yield "module"
    yield f"  {module['kind']}, {module['size']} bytes, sha256:{module['digest']}"
    yield f"  imports from {', '.join(module['imports']) or 'nowhere'}"
    yield f"  needs {', '.join(module['features']) or 'no feature beyond the first version of WebAssembly'}"


def _guest_lines(guest: Mapping[str, Any]) -> Iterable[str]:
    yield "guest"
    yield f"  arguments    {' '.join(map(repr, guest['argv']))}"
    if guest["function"]:
        yield f"  function     {guest['function']}"
    yield f"  environment  {', '.join(guest['environment']) or 'empty'}"
    yield f"  directory    {guest['cwd']}"
    for directory in guest["directories"]:
        access = "read-only" if directory["read_only"] else "read-write"
        yield f"  {access:<11}  {directory['path']} from {directory['source']}"
    for mount in guest["left_out"]:
        yield f"  left out     {mount['path']} ({mount['type']}): a guest has no kernel"
    limits = [f"{name} {value}" for name, value in guest["limits"].items() if value is not None]
    yield f"  limits       {', '.join(limits) or 'none'}"
