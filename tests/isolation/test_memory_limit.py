"""A memory limit holds for an engine that can't hold it: its process is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.isolation.puppet import Guarded, Puppet
from wasmoci.errors import EngineCrashed
from wasmoci.isolation.memory_limit import OVERHEAD
from wasmoci.isolation.worker_process import launch
from wasmoci.limits import Limits
from wasmoci.oci.spec import Process, Spec
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.isolation.warm_servers import Servers

LIMIT = 32 << 20
PIECE = 1 << 20


Run: TypeAlias = "Callable[..., ExecutionResult]"


@pytest.fixture
def run(servers: Servers | None) -> Run:
    """Has a puppet act in a worker with a memory limit."""

    def call(*args: str, memory: int | None = LIMIT, handler: Puppet | None = None) -> ExecutionResult:
        with launch(
            handler or Puppet(),
            Spec(process=Process(args=args)),
            "/",  # type: ignore[arg-type]
            stdio=Stdio.capture(),
            limits=Limits(memory=memory, time=60),
            servers=servers,
        ) as running:
            return running.wait()

    return call


@pytest.mark.parametrize("end", ["trap", "abort", "segfault", "raise"])
def test_guest_that_dies_of_it_is_out_of_memory(run: Run, end: str) -> None:
    """However an engine ends that is refused memory, the guest was out of memory."""
    result = run("allocates", end)
    assert (result.reason, result.exit_code) == (ExitReason.OUT_OF_MEMORY, 137)
    assert result.message.startswith(f"it was refused memory by its limit of {LIMIT} bytes")


def test_engine_that_says_so_is_believed(run: Run) -> None:
    """An engine that raises MemoryError, though it asked for everything at once, was out of memory."""
    result = run("asks_too_much")
    assert (result.reason, result.exit_code) == (ExitReason.OUT_OF_MEMORY, 137)


def test_guest_that_copes_with_it_exits(run: Run) -> None:
    """A guest that gets on with less keeps its exit code."""
    result = run("allocates", "exit")
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, 3)


def test_memory_is_bounded(run: Run) -> None:
    """The process gets the guest's limit and the documented overhead, and no more."""
    taken = int(run("allocates", "tell").stdout or b"")
    assert LIMIT < taken * PIECE <= LIMIT + OVERHEAD


@pytest.mark.parametrize(
    ("act", "reason"), [("traps", ExitReason.TRAPPED), ("exits", ExitReason.EXITED)], ids=["trap", "exit"]
)
def test_guest_that_ends_otherwise_is_not_out_of_memory(run: Run, act: str, reason: ExitReason) -> None:
    """A limit that nobody came near explains nothing."""
    assert run(act, *(["0"] if act == "exits" else [])).reason is reason


def test_crash_below_the_limit_is_a_crash(run: Run) -> None:
    """An engine that crashes with memory left is at fault itself."""
    with pytest.raises(EngineCrashed):
        run("segfaults")


def test_engine_with_a_limit_of_its_own_is_not_bounded(run: Run) -> None:
    """Where an engine holds the limit itself, its process may take what it needs."""
    assert run("takes", "256", memory=PIECE, handler=Guarded()).reason is ExitReason.EXITED


def test_without_a_limit_memory_error_is_a_failure(run: Run) -> None:
    """A handler that runs out of memory by itself has failed."""
    with pytest.raises(EngineCrashed, match="MemoryError"):
        run("has_no_memory", memory=None)
