"""Decides whether a workload is Wasm or native. No other module interprets annotations.

The rules are crun's, in the order of the table "Classification" in ``docs/reference/annotations.md``.
"""

from __future__ import annotations

import enum

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidSpec
from wasmoci.oci.annotations import HANDLER, NAME_KEYS, SANDBOX_KEYS, VARIANT
from wasmoci.oci.entrypoint import first_bytes
from wasmoci.oci.init_program import stepped_over
from wasmoci.oci.pause_program import is_podmans_pause
from wasmoci.text.log import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from wasmoci.oci.spec import Spec

_SUFFIXES = (".wasm", ".wat")
_WASM = b"\0asm"
_NATIVE = {b"\x7fELF": "an ELF program", b"#!": "a script"}
_HANDLERS_OF_CRUN = ("krun", "dotnet")
"""Those of crun's that are no engines for WebAssembly, so that whoever asks for one means what is said."""


class Kind(enum.Enum):
    """What runs a workload."""

    WASM = "wasm"
    """An engine handler."""
    NATIVE = "native"
    """The native OCI runtime."""


class Detection(enum.Enum):
    """What makes a workload Wasm when no annotation decides."""

    ANNOTATIONS = "annotations"
    """Nothing."""
    CONTENT = "content"
    """Its program's first bytes."""


@attrs.frozen(kw_only=True)
class Classification:
    """A decision and the reason for it.

    Args:
        kind: Wasm or native.
        rule: The row of the table that decided, 1 to 12; 0 when the caller forced a handler.
        reason: A sentence for the user.
        annotation: The key of the annotation that decided, if one did.
        value: The value of the annotation.
        engine: The engine that the annotation or the caller names.
        warning: A warning for the user, if any.
    """

    kind: Kind
    rule: int
    reason: str
    annotation: str | None = None
    value: str | None = None
    engine: str | None = None
    warning: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the same as a dictionary for ``json.dumps``."""
        return {
            "kind": self.kind.value,
            "rule": self.rule,
            "reason": self.reason,
            "annotation": self.annotation,
            "value": self.value,
            "engine": self.engine,
            "warning": self.warning,
        }


@attrs.frozen(kw_only=True)
class Question:
    """What a classification depends on.

    Args:
        spec: The OCI runtime spec.
        rootfs: Its root file system, a host path; the smart check reads the first bytes of the program there.
        handlers: Returns the names of the engine handlers; called only where an annotation may name one.
        detection: What decides where no annotation does.
        forced: ``wasm`` or the name of an engine, when the caller makes every container Wasm, except for sandboxes.
        wasm: Whether the caller asked for Wasm, so that the program decides where no annotation does.
    """

    spec: Spec
    rootfs: Path | None = None
    handlers: Callable[[], Collection[str]] = tuple
    detection: Detection = Detection.ANNOTATIONS
    forced: str | None = None
    wasm: bool = False

    @property
    def handler(self) -> str | None:
        """The value of ``run.oci.handler``."""
        return self.spec.annotations.get(HANDLER)

    @property
    def args(self) -> tuple[str, ...]:
        """The program and its arguments, behind an init; empty where the spec has none."""
        return stepped_over(self.spec.process.args) if self.spec.process else ()

    @property
    def program(self) -> str:
        """The program that the spec names, without its function."""
        return self.args[0].partition("#")[0]


def classify(
    spec: Spec,
    rootfs: Path | None = None,
    *,
    handlers: Callable[[], Collection[str]] = tuple,
    detection: Detection = Detection.ANNOTATIONS,
    forced: str | None = None,
    wasm: bool = False,
    quiet: bool = False,
) -> Classification:
    """Decide whether a workload is Wasm or native.

    Args:
        spec: The OCI runtime spec.
        rootfs: Its root file system, a host path; the smart check reads the first bytes of the program there.
        handlers: Returns the names of the engine handlers; called only where an annotation may name one.
        detection: What decides where no annotation does.
        forced: ``wasm`` or the name of an engine, when the caller makes every container Wasm, except for sandboxes.
        wasm: Whether the caller asked for Wasm, so that the program decides where no annotation does. The caller has to
            refuse a workload that is native all the same.
        quiet: Whether to leave a warning in the result only, as for a workload that isn't run.

    Raises:
        InvalidSpec: A handler was forced, and the spec has ``run.oci.handler`` as well.
    """
    question = Question(spec=spec, rootfs=rootfs, handlers=handlers, detection=detection, forced=forced, wasm=wasm)
    decision = next(found for rule in RULES if (found := rule.decide(question)) is not None)
    if decision.warning and not quiet:
        warn(__name__, decision.warning)
    return decision


def _sandbox(question: Question) -> Classification | None:
    for key in SANDBOX_KEYS:
        if question.spec.annotations.get(key) == "sandbox":
            return _by(1, Kind.NATIVE, key, "sandbox", "says that it is a pod's sandbox")
    if question.forced is not None and is_podmans_pause(question.spec, question.rootfs):
        return Classification(kind=Kind.NATIVE, rule=1, reason="its program is the pause program of Podman's pods")
    return None


def _nothing_to_run(question: Question) -> Classification | None:
    if question.args:
        return None
    return Classification(kind=Kind.NATIVE, rule=2, reason="the spec has no process with arguments")


def _forced(question: Question) -> Classification | None:
    forced = question.forced
    if forced is None:
        return None
    if question.handler is not None:
        raise InvalidSpec(
            f"found {question.handler!r}, and the handler {forced!r} is forced from outside",
            path=f'$.annotations["{HANDLER}"]',
            hint="drop the annotation, or don't force a handler",
        )
    return Classification(
        kind=Kind.WASM,
        rule=0,
        engine=None if forced == "wasm" else forced,
        reason=f"the handler {forced!r} is forced from outside",
    )


def _handler_wasm(question: Question) -> Classification | None:
    return _by(3, Kind.WASM, HANDLER, "wasm", "asks for Wasm") if question.handler == "wasm" else None


def _handler_smart(question: Question) -> Classification | None:
    return _smart(question, 4, HANDLER, "wasm-smart") if question.handler == "wasm-smart" else None


def _handler_engine(question: Question) -> Classification | None:
    name = question.handler
    if not name:
        return None
    if name not in question.handlers():
        return None
    return _by(5, Kind.WASM, HANDLER, name, f"names the engine {name}", engine=name)


def _handler_other(question: Question) -> Classification | None:
    name = question.handler
    if name is None:
        return None
    decision = _by(6, Kind.NATIVE, HANDLER, name, "names none of our engines and is left to the native runtime")
    if name in _HANDLERS_OF_CRUN:
        return decision
    known = ", ".join(["wasm", "wasm-smart", *sorted(question.handlers())])
    warning = f"the annotation {HANDLER} is {name!r}; one of {known} was expected; the container is left to the native runtime"
    return attrs.evolve(decision, warning=warning)


def _own_variant(question: Question) -> Classification | None:
    annotations = question.spec.annotations
    name = next((annotations[key] for key in NAME_KEYS if annotations.get(key)), None)
    key = f"{VARIANT}.{name}"
    if name is None or key not in annotations:
        return None
    decision = next(
        found for row in (8, 9, 10) if (found := _variant(question, row, key, annotations[key])) is not None
    )
    return attrs.evolve(decision, rule=7)


def _pod_variant(row: int) -> Callable[[Question], Classification | None]:
    def decide(question: Question) -> Classification | None:
        value = question.spec.annotations.get(VARIANT)
        return None if value is None else _variant(question, row, VARIANT, value)

    return decide


def _variant(question: Question, row: int, key: str, value: str) -> Classification | None:
    if row == 8:  # noqa: PLR2004  the rows of the table
        return _by(8, Kind.WASM, key, value, "asks for Wasm") if value == "compat" else None
    if row == 9:  # noqa: PLR2004
        return _smart(question, 9, key, value) if value == "compat-smart" else None
    decision = _by(10, Kind.NATIVE, key, value, "is no variant that wasmoci knows")
    name = key if key.isprintable() else repr(key)
    warning = f"the annotation {name} is {value!r}; compat or compat-smart was expected; the container runs natively"
    return attrs.evolve(decision, warning=warning)


def _detected(question: Question) -> Classification | None:
    if question.wasm:
        asked, why = _by_program(question)
        return Classification(kind=asked, rule=11, reason=f"no annotation decides, Wasm is asked for, and {why}")
    if question.detection is not Detection.CONTENT:
        return None
    kind, reason = _by_content(question)
    return None if kind is None else Classification(kind=kind, rule=11, reason=f"no annotation decides, and {reason}")


def _otherwise(question: Question) -> Classification:
    decision = Classification(kind=Kind.NATIVE, rule=12, reason="no annotation makes it Wasm")
    annotations = question.spec.annotations
    for_one = next((key for key in sorted(annotations) if key.startswith(f"{VARIANT}.")), None)
    if for_one is None or any(annotations.get(key) for key in NAME_KEYS):
        return decision
    name = for_one if for_one.isprintable() else repr(for_one)
    warning = (
        f"the annotation {name} can't apply, as the spec has no container's name ({' or '.join(NAME_KEYS)}), which Podman"
        f" doesn't set; {VARIANT}=compat-smart does without one; the container runs natively"
    )
    return attrs.evolve(decision, warning=warning)


@attrs.frozen
class Rule:
    """A row of the table.

    Args:
        row: Its number; 0 for a forced handler, which comes between rows 2 and 3.
        condition: When it applies, in words.
        decide: Returns the decision, or None when the row doesn't apply.
    """

    row: int
    condition: str
    decide: Callable[[Question], Classification | None]


RULES = (
    Rule(
        1,
        f"{SANDBOX_KEYS[0]} or {SANDBOX_KEYS[1]} is sandbox, or a forced handler meets Podman's pause program",
        _sandbox,
    ),
    Rule(2, "the spec has no process, or no arguments", _nothing_to_run),
    Rule(0, "a handler is forced from outside", _forced),
    Rule(3, f"{HANDLER} is wasm", _handler_wasm),
    Rule(4, f"{HANDLER} is wasm-smart", _handler_smart),
    Rule(5, f"{HANDLER} is an engine's name", _handler_engine),
    Rule(6, f"{HANDLER} is anything else", _handler_other),
    Rule(7, f"{VARIANT}.NAME is there, for this container's name", _own_variant),
    Rule(8, f"{VARIANT} is compat", _pod_variant(8)),
    Rule(9, f"{VARIANT} is compat-smart", _pod_variant(9)),
    Rule(10, f"{VARIANT} is anything else", _pod_variant(10)),
    Rule(11, "the program decides where no annotation does", _detected),
    Rule(12, "otherwise", _otherwise),
)


def _by(rule: int, kind: Kind, key: str, value: str, what: str, *, engine: str | None = None) -> Classification:
    shown = f"{key}={value}"
    if not shown.isprintable():  # it may come from an image
        shown = repr(shown)
    return Classification(
        kind=kind, rule=rule, annotation=key, value=value, engine=engine, reason=f"the annotation {shown} {what}"
    )


def _smart(question: Question, rule: int, key: str, value: str) -> Classification:
    kind, why = _by_program(question)
    return _by(rule, kind, key, value, f"leaves it to the program: {why}")


def _by_program(question: Question) -> tuple[Kind, str]:
    """Apply the smart check: the program's first bytes decide, or else its name."""
    kind, why = _by_content(question)
    if kind is not None:
        return kind, why
    # Like crun: case is ignored, and all of args[0] counts; our own functions ("app.wasm#main") are an addition.
    wasm = any(name.lower().endswith(_SUFFIXES) for name in (question.args[0], question.program))
    suffix = f"{question.program!r} {'ends' if wasm else 'does not end'} in .wasm or .wat"
    return Kind.WASM if wasm else Kind.NATIVE, f"{suffix} ({why})" if why else suffix


def is_native(spec: Spec, rootfs: Path) -> bool:
    """Whether a spec's program is there, and certainly no WebAssembly but a native program."""
    return _by_content(Question(spec=spec, rootfs=rootfs))[0] is Kind.NATIVE


def _by_content(question: Question) -> tuple[Kind | None, str]:
    """Return what the program's first bytes say; None when they can't be read, or are inconclusive."""
    if question.rootfs is None:
        return None, ""
    head = first_bytes(question.spec, question.rootfs, max(len(magic) for magic in (_WASM, *_NATIVE)))
    if head is None:
        return None, "it can't be read in the root file system"
    if head.startswith(_WASM):
        return Kind.WASM, f"{question.program!r} begins as WebAssembly does"
    for magic, name in _NATIVE.items():
        if head.startswith(magic):
            return Kind.NATIVE, f"{question.program!r} is {name}"
    return None, "its first bytes are neither WebAssembly's nor a native program's"
