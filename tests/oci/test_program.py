"""A program that is read once for a run, and never for another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from tests.support.handlers import Handlers
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.errors import UnsupportedWorkload
from wasmoci.handlers.base import BaseHandler, Outcome, Workload
from wasmoci.handlers.capabilities import Capability
from wasmoci.oci import entrypoint
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.program import GuestProgram, in_hand
from wasmoci.wasm.module import Feature

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# (module (func (export "_start")))
PROGRAM = bytes.fromhex("0061736d0100000001040160000003020100070a01065f737461727400000a040102000b")
OTHER = PROGRAM + b"\0\2\1x"


class Looking(BaseHandler):
    """Keeps the workloads that it is given."""

    name = "looking"
    capabilities = frozenset({Capability.WASI_PREVIEW1, Capability.SANDBOXED})
    features = frozenset(Feature)

    def __init__(self) -> None:
        self.workloads: list[Workload] = []
        self.inner: Callable[[], object] = lambda: None

    def provides(self, module: str, name: str) -> bool:  # noqa: ARG002
        """See :meth:`BaseHandler.provides`."""
        return False

    def run(self, workload: Workload) -> Outcome:
        """See :meth:`BaseHandler.run`."""
        self.workloads.append(workload)
        self.inner()
        return Outcome.exited()


@pytest.fixture
def handler() -> Looking:
    """A handler that runs nothing."""
    return Looking()


@pytest.fixture
def dispatcher(handler: Looking) -> Dispatcher:
    """A dispatcher that knows that handler alone."""
    return Dispatcher(("looking",), registry=Handlers(handler))


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Bundle:
    """A bundle that is loaded once."""
    return Bundle.load(make_bundle(PROGRAM))


def test_it_is_looked_for_once(
    bundle: Bundle, handler: Looking, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler gets what the dispatcher has read."""
    looked: list[str] = []
    load = entrypoint.Entrypoint.load
    monkeypatch.setattr(
        entrypoint.Entrypoint, "load", lambda self, files: (looked.append(self.program), load(self, files))[1]
    )
    dispatcher.run(bundle)
    assert looked == [handler.workloads[0].entrypoint.program]


def test_replaced_program_is_seen(bundle: Bundle, handler: Looking, dispatcher: Dispatcher) -> None:
    """A loaded bundle's files may change between its runs."""
    program = bundle.rootfs / "app.wasm"
    for data in (PROGRAM, OTHER, PROGRAM):
        program.write_bytes(data)
        dispatcher.run(bundle)
    other = program.with_name("other")
    other.write_bytes(OTHER)
    other.rename(program)
    dispatcher.run(bundle)
    assert [workload.module.data for workload in handler.workloads] == [PROGRAM, OTHER, PROGRAM, OTHER]


def test_run_within_a_run_has_its_own(
    bundle: Bundle, make_bundle: Callable[..., Path], handler: Looking, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    """What is in hand is used for its own spec and root alone."""
    outer = bundle.spec
    spec = attrs.evolve(outer, process=attrs.evolve(outer.process, args=("/app.wasm", "inner")))
    rootfs = Bundle.load(make_bundle(OTHER)).rootfs

    def inner() -> None:
        handler.inner = lambda: None
        handler.execute(spec, bundle.rootfs)
        handler.execute(outer, rootfs)
        handler.execute(outer, bundle.rootfs)

    handler.inner = inner
    dispatcher.run(bundle)
    first, arguments, root, same = handler.workloads
    assert arguments.entrypoint.argv == ("/app.wasm", "inner")
    assert (root.module.data, root.files.rootfs) == (OTHER, rootfs)
    assert same.entrypoint is first.entrypoint


def test_nothing_stays_in_hand(bundle: Bundle, handler: Looking, dispatcher: Dispatcher) -> None:
    """Neither after a run nor after one that failed."""
    dispatcher.run(bundle)
    assert in_hand.get() is None

    def fail() -> None:
        assert in_hand.get() is not None
        raise UnsupportedWorkload("it can't")

    handler.inner = fail
    with pytest.raises(UnsupportedWorkload):
        dispatcher.run(bundle)
    assert in_hand.get() is None


def test_program_of_a_spec(bundle: Bundle) -> None:
    """It knows whose it is."""
    program = GuestProgram.read(bundle.spec, bundle.rootfs)
    assert program.is_of(bundle.spec, bundle.rootfs)
    assert not program.is_of(attrs.evolve(bundle.spec), bundle.rootfs)
    assert not program.is_of(bundle.spec, bundle.path)
