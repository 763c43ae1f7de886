"""Where a guest is to run: in the caller's process where its limits hold there, else in a worker."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from tests.isolation.puppet import Blocking, Guarded, Puppet
from wasmoci import isolation
from wasmoci.errors import UnsupportedWorkload
from wasmoci.isolation import Isolation
from wasmoci.limits import Limits
from wasmoci.oci.spec import Process, Spec
from wasmoci.stdio import Stdio
from wasmoci.wasm.module import Module

MODULE = Module.from_bytes(b"\0asm\1\0\0\0", source="app.wasm")
NONE, TIME, MEMORY, FUEL = Limits(), Limits(time=1.0), Limits(memory=1 << 20), Limits(fuel=1)
BOTH = Limits(time=1.0, memory=1 << 20)
INLINE, PROCESS = Isolation.INLINE, Isolation.PROCESS


def choose(handler: Puppet, limits: Limits, wanted: Isolation | None = None) -> Isolation:
    """Choose with streams that never block."""
    return isolation.choose(handler, MODULE, Stdio.null(), limits, wanted)


@pytest.mark.parametrize(
    ("handler", "limits", "expected"),
    [
        (Puppet(), NONE, INLINE),
        (Puppet(), TIME, PROCESS),
        (Puppet(), MEMORY, PROCESS),
        (Puppet(), BOTH, PROCESS),
        (Guarded(), NONE, INLINE),
        (Guarded(), TIME, INLINE),
        (Guarded(), MEMORY, INLINE),
        (Guarded(), BOTH, INLINE),
        (Guarded(), FUEL, INLINE),
        (Blocking(), NONE, INLINE),
        (Blocking(), TIME, PROCESS),
        (Blocking(), MEMORY, INLINE),
        (Blocking(), BOTH, PROCESS),
    ],
)
def test_chosen_by_itself(handler: Puppet, limits: Limits, expected: Isolation) -> None:
    """A limit that an engine can't hold in the caller's process takes the guest to a worker."""
    assert choose(handler, limits) is expected


@pytest.mark.parametrize("handler", [Puppet(), Guarded(), Blocking()])
@pytest.mark.parametrize("limits", [NONE, TIME, MEMORY, BOTH])
def test_a_worker_can_always_be_had(handler: Puppet, limits: Limits) -> None:
    """Every limit of time and memory holds in a worker."""
    assert choose(handler, limits, PROCESS) is PROCESS


@pytest.mark.parametrize(
    ("handler", "limits", "unmet"),
    [
        (Puppet(), TIME, "a time limit"),
        (Puppet(), MEMORY, "a memory limit"),
        (Blocking(), BOTH, "a time limit"),
    ],
)
def test_the_callers_process_is_refused_where_a_limit_would_not_hold(
    handler: Puppet, limits: Limits, unmet: str
) -> None:
    """A caller that insists on its own process is told which limit can't be held in it, and what to do."""
    with pytest.raises(UnsupportedWorkload) as caught:
        choose(handler, limits, INLINE)
    expected = f"{handler.name} can't hold {unmet} for this workload in the caller's process"
    assert caught.value.message == expected
    assert caught.value.hint == "leave the isolation open, or choose the isolation 'process'"


@pytest.mark.parametrize("wanted", [None, INLINE, PROCESS])
def test_fuel_needs_an_engine_that_counts(wanted: Isolation | None) -> None:
    """A limit of fuel holds nowhere on an engine that doesn't count instructions."""
    with pytest.raises(UnsupportedWorkload, match="can't count instructions"):
        choose(Puppet(), FUEL, wanted)


def test_time_claimed_without_the_power_to_interrupt_is_not_believed() -> None:
    """An engine that claims time limits has to say for each module whether they hold."""

    class Boaster(Puppet):
        capabilities = Guarded.capabilities

    assert choose(Boaster(), TIME) is PROCESS


@pytest.mark.parametrize("where", list(Isolation))
def test_execute_runs_where_it_was_decided(where: Isolation) -> None:
    """Both ways give the same result, from another process or not."""
    results = [
        isolation.execute(
            Puppet(),
            Spec(process=Process(args=("speaks", "out", "err"))),
            Path("/"),
            stdio=Stdio.capture(),
            limits=Limits(),
            isolation=where,
        )
        for where in (where, INLINE)
    ]
    assert attrs.evolve(results[0], duration=0.0) == attrs.evolve(results[1], duration=0.0)
    assert (results[0].stdout, results[0].stderr) == (b"out", b"err")
