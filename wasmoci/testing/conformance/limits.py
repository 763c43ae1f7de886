"""Tests limits of time, memory and fuel, in this process if the handler claims them, otherwise in a worker process."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from wasmoci.handlers.capabilities import Capability
from wasmoci.handlers.contract import Interruptible
from wasmoci.isolation import Isolation, choose
from wasmoci.limits import Limits
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio
from wasmoci.testing.conformance.base import Conformance, ended, guest_bytes
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from wasmoci.testing.conformance.base import Runner

MIB = 1 << 20
TIMED_OUT, OUT_OF_MEMORY = 124, 137
_SHORT = 1.0  # seconds; enough for a guest to write something on a busy machine
_PAGE = 64 << 10
_FEW = "1024"  # pages
_MANY = "8192"
_PLENTY = 1 << 40  # instructions


class TimeLimits(Conformance):
    """Time limits are enforced."""

    def test_time_limit_holds(self, run: Runner) -> None:
        """A guest that computes ends with TIMED_OUT and 124, and its output is kept. Needs ``time-limit``."""
        run.claims(Capability.TIME_LIMIT)
        result = run("spin", _longer(run), limits=Limits(time=_SHORT))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.TIMED_OUT, TIMED_OUT), f"a limit of {_SHORT:g} s didn't hold: {ended(result)}"
        assert result.stdout == b"begun\n", f"stdout is {result.stdout!r}; what was written before the limit is lost"

    def test_time_limit_may_be_less_than_a_second(self, run: Runner) -> None:
        """A limit may have a fraction of a second. Needs ``time-limit``."""
        run.claims(Capability.TIME_LIMIT)
        result = run("spin", _longer(run), limits=Limits(time=0.2))
        assert result.reason is ExitReason.TIMED_OUT, f"a limit of 0.2 s didn't hold: {ended(result)}"

    def test_time_limit_that_is_not_reached_changes_nothing(self, run: Runner) -> None:
        """A guest that ends in time ends normally. Needs ``time-limit``."""
        run.claims(Capability.TIME_LIMIT)
        result = run("exit", "5", limits=Limits(time=1000.0))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 5), f"within its limit: {ended(result)}"

    def test_time_limit_claims_can_be_asked(self, run: Runner) -> None:
        """A handler that claims ``time-limit`` is Interruptible, and answers no where a guest may wait forever."""
        run.claims(Capability.TIME_LIMIT)
        assert isinstance(run.handler, Interruptible), "time-limit is claimed, and there is no method 'interrupts'"
        computes = run.handler.interrupts(Module.from_bytes(guest_bytes("spin")), Stdio.capture())
        assert computes, "time-limit is claimed, and 'interrupts' says no to a guest that computes"

    def test_time_limit_holds_while_the_guest_waits(self, run: Runner) -> None:
        """A guest that waits for input is ended as well: in this process, or in a worker if 'interrupts' answers no."""
        source, writing = os.pipe()
        given = os.fdopen(writing, "wb", buffering=0)  # closed by whichever is first
        rescue = threading.Timer(run.patience, given.close)
        rescue.start()  # if the limit isn't enforced, the end of its input ends the guest, so that the test doesn't hang
        try:
            made = run.bundle("cat")
            stdio, limits = Stdio(stdin=source, stdout=lambda _: None, stderr=lambda _: None), Limits(time=_SHORT)
            where = choose(run.handler, Module.from_bytes(guest_bytes("cat")), stdio, limits)
            if where is Isolation.INLINE:
                result = run.execute(made, stdio=stdio, limits=limits)
            else:
                result = run.in_worker(made, limits, stdio)
            in_time = not given.closed
        finally:
            rescue.cancel()
            rescue.join()
            given.close()
            os.close(source)
        assert in_time, "a guest that waits for input wasn't ended: its limit of time only holds while it computes"
        assert result.reason is ExitReason.TIMED_OUT, f"a guest that waits for input wasn't ended: {ended(result)}"

    def test_time_limit_holds_in_a_worker_process(self, run: Runner) -> None:
        """In a worker, the limit holds with every handler: the process of the guest is killed."""
        result = run.in_worker(run.bundle("spin", _longer(run)), Limits(time=_SHORT))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.TIMED_OUT, TIMED_OUT), f"a limit of {_SHORT:g} s didn't hold: {ended(result)}"
        assert result.stdout == b"begun\n", f"stdout is {result.stdout!r}; what was written before the limit is lost"


class MemoryLimits(Conformance):
    """Memory limits are enforced."""

    def test_memory_limit_holds(self, run: Runner) -> None:
        """A guest that fails without the memory ends with OUT_OF_MEMORY and 137. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "trap", _FEW, limits=Limits(memory=8 * MIB))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.OUT_OF_MEMORY, OUT_OF_MEMORY), f"a limit of 8 MiB didn't hold: {ended(result)}"

    def test_memory_limit_of_the_spec_holds(self, run: Runner) -> None:
        """``linux.resources.memory.limit`` applies if the caller gives no limit. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "trap", _FEW, memory=8 * MIB)
        assert result.reason is ExitReason.OUT_OF_MEMORY, f"the spec's limit of 8 MiB didn't hold: {ended(result)}"

    def test_guest_may_cope_with_a_memory_limit(self, run: Runner) -> None:
        """A guest learns that there is no more memory, and may end normally. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "cope", _FEW, limits=Limits(memory=8 * MIB))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.EXITED, 7), f"a guest that copes with a refusal exits with 7, not {ended(result)}"

    def test_refusal_of_memory_is_told(self, run: Runner) -> None:
        """The message of a guest that exits says that it was refused memory. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        if not self.tells_of_refusals:
            pytest.skip(f"{run.handler.name} is said to tell of no refusals")
        message = run("grow", "cope", _FEW, limits=Limits(memory=8 * MIB)).message
        assert "memory" in message, f"the message is {message!r}; the guest was refused memory before it exited"
        message = run("grow", "trap", "64", limits=Limits(memory=8 * MIB)).message
        assert message == "", f"the message is {message!r}; the guest wasn't refused anything"

    def test_guest_that_never_gives_up_is_ended(self, run: Runner) -> None:
        """A guest that requests memory again and again ends with OUT_OF_MEMORY. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "retry", _FEW, limits=Limits(memory=8 * MIB))
        assert result.reason is ExitReason.OUT_OF_MEMORY, f"a guest was refused a million times: {ended(result)}"

    def test_memory_limit_holds_from_the_beginning(self, run: Runner) -> None:
        """A module whose initial memory exceeds the limit is OUT_OF_MEMORY. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("huge", limits=Limits(memory=8 * MIB))
        assert result.reason is ExitReason.OUT_OF_MEMORY, f"1 GiB within a limit of 8 MiB: {ended(result)}"

    def test_memory_within_the_limit_is_given(self, run: Runner) -> None:
        """The guest gets memory within the limit. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "trap", "64", limits=Limits(memory=8 * MIB))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 3), f"4 MiB of 8 were refused: {ended(result)}"

    def test_memory_limit_is_the_last_page_that_fits(self, run: Runner) -> None:
        """The guest gets every page of 64 KiB that fits into the limit, and not one more. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        limits = Limits(memory=101 * _PAGE - 1)
        found = [run("grow", "once", pages, limits=limits).exit_code for pages in ("100", "101")]
        assert found == [3, 7], f"a limit of 101 pages less one byte: 100 and 101 gave {found}, and not 3 and 7"

    def test_memory_limit_holds_in_a_worker_process(self, run: Runner) -> None:
        """In a worker, a guest of any handler never has much more than the limit."""
        result = run.in_worker(run.bundle("grow", "cope", _MANY), Limits(memory=32 * MIB))
        had_all = (result.reason, result.exit_code) == (ExitReason.EXITED, 3)
        assert not had_all, "a guest was given 512 MiB by a worker with a limit of 32 MiB"


class FuelLimits(Conformance):
    """Fuel limits are enforced."""

    def test_fuel_limit_holds(self, run: Runner) -> None:
        """A guest that runs out of fuel ends with TIMED_OUT and 124. Needs ``fuel``."""
        run.claims(Capability.FUEL)
        result = run("spin", _longer(run), limits=Limits(fuel=1_000_000))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.TIMED_OUT, TIMED_OUT), (
            f"a limit of a million instructions didn't hold: {ended(result)}"
        )

    def test_enough_fuel_changes_nothing(self, run: Runner) -> None:
        """A guest with enough fuel ends normally. Needs ``fuel``."""
        run.claims(Capability.FUEL)
        result = run("exit", "5", limits=Limits(fuel=_PLENTY))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 5), f"with plenty of fuel: {ended(result)}"


def _longer(run: Runner) -> str:
    """Return the milliseconds after which a guest ends if no limit ends it, so that the test doesn't hang."""
    return str(int((_SHORT + run.patience) * 1000))
