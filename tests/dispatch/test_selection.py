"""Choosing an engine: what is needed, what is wished for, and why the others were passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.handlers import FULL, Handlers, Recorder, Strict, Wild
from wasmoci.dispatch.selection import Candidate, Selection, Wasm, explored, select
from wasmoci.errors import (
    EngineError,
    EngineUnavailable,
    InvalidModule,
    NoSuitableEngine,
    UnknownEngine,
    UnsupportedModule,
    UnsupportedWorkload,
)
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation import Isolation
from wasmoci.limits import Limits
from wasmoci.oci.guest_files import GuestFiles, GuestMount
from wasmoci.stdio import Stdio
from wasmoci.wasm.module import Module

CORE = Module.from_bytes(b"\0asm\1\0\0\0", source="/app.wasm")
COMPONENT = Module.from_bytes(b"\0asm\x0d\0\1\0", source="/app.wasm")
TEXT = Module.from_bytes(b"(module)", source="/app.wat")
OFFERED = "it offers what the workload needs"
FIRST = "the first that is installed and offers what the workload needs"


def workload(
    module: Module = CORE,
    *,
    limits: Limits | None = None,
    mounts: tuple[GuestMount, ...] = (),
    read_only: bool = True,
    isolation: Isolation | None = None,
    apart: bool = False,
) -> Wasm:
    """A workload that runs anywhere, but for what is asked."""
    files = GuestFiles(rootfs=Path("/"), read_only=read_only, cwd="/", mounts=mounts)
    return Wasm(
        module=module, files=files, stdio=Stdio.null(), limits=limits or Limits(), isolation=isolation, apart=apart
    )


def mount(*, read_only: bool = True, is_file: bool = False) -> GuestMount:
    """A mount of something."""
    return GuestMount(destination="/m", source=Path("/x"), read_only=read_only, is_file=is_file)


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        (workload(read_only=False), {Capability.WASI_PREVIEW1}),
        (workload(COMPONENT, read_only=False), {Capability.WASI_02}),
        (workload(TEXT, read_only=False), {Capability.TEXT}),
        (workload(read_only=False, mounts=(mount(read_only=False),)), {Capability.WASI_PREVIEW1}),
        (
            workload(read_only=False, mounts=(mount(read_only=False, is_file=True),)),
            {Capability.WASI_PREVIEW1, Capability.FILE_MOUNTS},
        ),
        (workload(read_only=True), {Capability.WASI_PREVIEW1, Capability.READ_ONLY}),
        (workload(read_only=False, mounts=(mount(read_only=True),)), {Capability.WASI_PREVIEW1, Capability.READ_ONLY}),
        (workload(read_only=False, limits=Limits(fuel=1)), {Capability.WASI_PREVIEW1, Capability.FUEL}),
        (workload(read_only=False, limits=Limits(time=1, memory=1 << 20)), {Capability.WASI_PREVIEW1}),
    ],
)
def test_needs(asked: Wasm, needs: set[Capability]) -> None:
    """What a workload needs is read from its module, its mounts and its limits; a worker holds time and memory."""
    assert asked.needs == needs


@pytest.mark.parametrize(
    ("asked", "is_writable"),
    [
        (workload(), False),
        (workload(read_only=False), True),
        (workload(mounts=(mount(),)), False),
        (workload(mounts=(mount(read_only=False),)), True),
    ],
)
def test_wishes(asked: Wasm, is_writable: bool) -> None:  # noqa: FBT001
    """Where a guest may write, an engine that writes to the host's files is the better one."""
    assert asked.wishes == ({Capability.LIVE_FILES} if is_writable else set())


def choose(
    handlers: Handlers, *order: str, asked: Wasm | None = None, first: str | None = None, thorough: bool = True
) -> Selection:
    """Choose where no engine was named."""
    order = order or handlers.names()
    return select(asked or workload(), handlers, named=None, order=order, first=first, thorough=thorough)


def reasons(selection: Selection) -> list[tuple[str, bool, str]]:
    """The candidates as plain data."""
    return [(candidate.engine, candidate.chosen, candidate.reason) for candidate in selection.candidates]


def test_first_in_order_is_taken() -> None:
    """The order decides, and not the name."""
    handlers = Handlers(Recorder("a"), Recorder("b"), Recorder("c"))
    found = choose(handlers, "c", "a", "b")
    assert found.handler.name == "c"
    assert reasons(found) == [
        ("c", True, FIRST),
        ("a", False, "it could, but comes later"),
        ("b", False, "it could, but comes later"),
    ]


def test_engines_that_cannot_are_passed_over() -> None:
    """Each engine that can't has its reason, whatever it is."""
    handlers = Handlers(
        Recorder("weak", FULL - {Capability.FUEL}),
        Recorder("picky", refusal="lacks simd"),
        Recorder("broken", refusal=ZeroDivisionError("oops")),
        Recorder("good"),
        missing=["absent"],
    )
    order = ("absent", "nobody", "weak", "picky", "broken", "good")
    assert reasons(choose(handlers, *order, asked=workload(limits=Limits(fuel=1)))) == [
        ("absent", False, "the engine 'absent' can't be loaded: not installed"),
        ("nobody", False, f"no engine is called 'nobody'; registered are: {', '.join(handlers.names())}"),
        ("weak", False, "weak doesn't offer what the workload needs: fuel"),
        ("picky", False, "picky lacks simd"),
        ("broken", False, "the handler of broken failed over the module: ZeroDivisionError: oops"),
        ("good", True, FIRST),
    ]


INVALID = InvalidModule("truncated", source="/app.wasm", offset=3)


@pytest.mark.parametrize("last", [Recorder("z"), Wild("z")])
def test_invalid_by_an_engine_that_validates_is_invalid(last: Recorder) -> None:
    """Nothing that comes behind it is asked, and no list of candidates hides it."""
    handlers = Handlers(Recorder("a", refusal="can't"), Recorder("strict", refusal=INVALID), last)
    for thorough in (False, True):
        with pytest.raises(InvalidModule) as caught:
            choose(handlers, thorough=thorough)
        assert caught.value.message == INVALID.message
    assert [(one.engine, one.reason) for one in explored(workload(), handlers, handlers.names())] == [
        ("a", "a can't"),
        ("strict", INVALID.message),
        ("z", "it isn't asked, as strict calls the module invalid"),
    ]


def test_invalid_by_an_engine_that_does_not_validate_is_its_own_view() -> None:
    """An engine that is no sandbox decides nothing for the others."""
    handlers = Handlers(Strict(), Recorder("b"))
    found = choose(handlers, "a", "b", first="a")
    assert reasons(found) == [("a", False, INVALID.message), ("b", True, FIRST)]


@pytest.mark.parametrize(
    ("order", "first", "refusal", "expected"),
    [
        (("wild", "a", "b"), None, None, "a"),
        (("wild", "a", "b"), "wild", None, "wild"),
        (("a", "wild", "b"), "a", "can't", "b"),
        (("a", "wild"), "a", "can't", "wild"),
        (("wild",), None, None, "wild"),
    ],
)
@pytest.mark.parametrize("thorough", [False, True])
def test_engine_that_is_no_sandbox_comes_last(
    order: tuple[str, ...], first: str | None, refusal: str | None, expected: str, *, thorough: bool
) -> None:
    """It is taken where nothing else fits, or where the list of whoever asks begins with it, and always in the jail."""
    handlers = Handlers(Recorder("a", refusal=refusal), Recorder("b"), Wild())
    found = choose(handlers, *order, first=first, thorough=thorough)
    assert found.handler.name == expected
    assert found.isolation is (Isolation.JAIL if expected == "wild" else Isolation.INLINE)
    if thorough and expected == "a":
        assert (
            "wild",
            False,
            "it could, but is no sandbox by itself: for a guest that asks for it by name",
        ) in reasons(found)


def test_wishes_do_not_make_an_engine_one_to_trust() -> None:
    """An engine that is no sandbox isn't even looked at for what an engine that is one lacks."""
    copying = FULL - {Capability.LIVE_FILES}
    handlers = Handlers(Recorder("a", copying), Wild())
    asked = workload(read_only=False)
    assert choose(handlers, "wild", "a", asked=asked).handler.name == "a"
    assert choose(handlers, "wild", "a", asked=asked, thorough=True).handler.name == "a"


def test_named_engine_that_is_no_sandbox_runs_in_the_jail() -> None:
    """Whoever names it gets it, and whoever names the place as well gets that."""
    handlers = Handlers(Wild())
    assert named(handlers, "wild").isolation is Isolation.JAIL
    for wanted in (Isolation.INLINE, Isolation.PROCESS, Isolation.JAIL):
        assert named(handlers, "wild", workload(isolation=wanted)).isolation is wanted
    assert named(handlers, "wild", workload(apart=True)).isolation is Isolation.JAIL


def test_engine_that_no_other_process_can_load_validates_where_it_may_run() -> None:
    """In the caller's process, if the caller has said so, and nowhere otherwise."""
    asked: list[Module] = []

    class Local(Wild):
        def validate(self, module: Module) -> None:
            asked.append(module)

    handlers = Handlers(Local())
    for thorough in (False, True):
        with pytest.raises(NoSuitableEngine, match="a worker process can't import this handler"):
            choose(handlers, "wild", thorough=thorough)
    assert asked == []
    assert named(handlers, "wild", workload(isolation=Isolation.INLINE)).isolation is Isolation.INLINE
    assert len(asked) == 1


def test_wish_is_worth_a_later_place() -> None:
    """An engine that gives what is wished for comes before one that doesn't, and only then."""
    handlers = Handlers(Recorder("copying", FULL - {Capability.LIVE_FILES}), Recorder("live"))
    order = ("copying", "live")
    writable = choose(handlers, *order, asked=workload(read_only=False))
    assert reasons(writable) == [
        ("copying", False, "another one offers live-files as well"),
        ("live", True, FIRST),
    ]
    assert choose(handlers, *order).handler.name == "copying"


def test_wish_is_no_need() -> None:
    """Where nobody gives what is wished for, the first is taken all the same."""
    handlers = Handlers(*(Recorder(name, FULL - {Capability.LIVE_FILES}) for name in "ab"))
    assert choose(handlers, asked=workload(read_only=False)).handler.name == "a"


@pytest.mark.parametrize(("thorough", "asked_for"), [(False, ["a", "b"]), (True, ["a", "b", "c"])])
def test_a_run_looks_no_further_than_it_has_to(thorough: bool, asked_for: list[str]) -> None:  # noqa: FBT001
    """Looking at an engine means loading and compiling: only an explanation looks at all of them."""
    handlers = Handlers(Recorder("a", refusal="can't"), Recorder("b"), Recorder("c"))
    assert [candidate.engine for candidate in choose(handlers, thorough=thorough).candidates] == asked_for


def test_none_fits() -> None:
    """The error has every engine's reason."""
    handlers = Handlers(Recorder("a", refusal="can't"), missing=["b"])
    with pytest.raises(NoSuitableEngine) as caught:
        choose(handlers)
    assert caught.value.message == (
        "no engine can run the workload:\n  a: a can't\n  b: the engine 'b' can't be loaded: not installed"
    )
    assert (caught.value.hint, caught.value.exit_status) == (None, 126)


def test_none_is_installed() -> None:
    """Where nothing is installed the error says what to install."""
    with pytest.raises(NoSuitableEngine) as caught:
        choose(Handlers(missing=["a", "b"]))
    assert caught.value.hint == (
        "no engine is installed: pip install 'wasmoci[all]', or one of wasmoci[wasmtime], [wasmer] and [wasm3]"
    )


def test_none_is_to_be_tried() -> None:
    """An empty order is told as such."""
    with pytest.raises(NoSuitableEngine, match="no engine is to be tried"):
        select(workload(), Handlers(Recorder("a")), named=None, order=())


def named(handlers: Handlers, name: str, asked: Wasm | None = None) -> Selection:
    """Choose an engine that was named."""
    return select(asked or workload(), handlers, named=name, order=("never",))


def test_named_engine_is_the_one() -> None:
    """Nobody else is looked at."""
    handlers = Handlers(Recorder("a"), Recorder("b", refusal=ZeroDivisionError("not to be asked")))
    assert named(handlers, "a").candidates == (Candidate(engine="a", chosen=True, reason="it was named"),)


def test_named_engine_that_is_unknown_or_missing() -> None:
    """A name that was asked for is not replaced by another."""
    handlers = Handlers(Recorder("a"), missing=["b"])
    with pytest.raises(UnknownEngine, match="no engine is called 'c'; registered are: a, b"):
        named(handlers, "c")
    with pytest.raises(EngineUnavailable, match="not installed"):
        named(handlers, "b")


def test_named_engine_that_cannot_names_those_that_can() -> None:
    """The error says what is missing, and which engines have it."""
    handlers = Handlers(
        Recorder("a", refusal="lacks simd"),
        Recorder("b", FULL - {Capability.FUEL}),
        Recorder("c"),
        Recorder("d"),
        Recorder("e", refusal=ZeroDivisionError("oops")),
        missing=["f"],
    )
    with pytest.raises(UnsupportedModule) as module:
        named(handlers, "a")
    assert (module.value.message, module.value.hint) == ("a lacks simd", "engines that can run it: b, c, d")
    with pytest.raises(UnsupportedWorkload) as workloads:
        named(handlers, "b", workload(limits=Limits(fuel=1)))
    assert workloads.value.message == "b doesn't offer what the workload needs: fuel"
    assert workloads.value.hint == "engines that can run it: c, d"


def test_named_engine_that_fails_is_an_engine_error() -> None:
    """A bug of a handler's is an error of wasmoci's, with the bug as its cause."""
    with pytest.raises(EngineError) as caught:
        named(Handlers(Recorder("a", refusal=ZeroDivisionError("oops"))), "a")
    assert caught.value.message == "the handler of a failed over the module: ZeroDivisionError: oops"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("capabilities", "limits", "wanted", "expected"),
    [
        (FULL, Limits(time=1, memory=1), None, Isolation.INLINE),
        (FULL - {Capability.TIME_LIMIT}, Limits(time=1), None, Isolation.PROCESS),
        (FULL - {Capability.MEMORY_LIMIT}, Limits(memory=1), None, Isolation.PROCESS),
        (FULL, Limits(), Isolation.PROCESS, Isolation.PROCESS),
        (FULL, Limits(), Isolation.JAIL, Isolation.JAIL),
    ],
)
def test_place_comes_with_the_engine(
    capabilities: frozenset[Capability], limits: Limits, wanted: Isolation | None, expected: Isolation
) -> None:
    """The selection says where the guest is to run."""
    handlers = Handlers(Recorder("a", capabilities))
    asked = workload(limits=limits, isolation=wanted)
    assert {choose(handlers, asked=asked).isolation, named(handlers, "a", asked).isolation} == {expected}


def test_engine_that_cannot_hold_the_limit_inline_is_passed_over() -> None:
    """A caller that insists on its own process gets an engine that holds the limits there."""
    handlers = Handlers(Recorder("a", FULL - {Capability.TIME_LIMIT}), Recorder("b"))
    found = choose(handlers, asked=workload(limits=Limits(time=1), isolation=Isolation.INLINE))
    assert reasons(found) == [
        ("a", False, "a can't hold a time limit for this workload in the caller's process"),
        ("b", True, FIRST),
    ]
