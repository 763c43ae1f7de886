"""Limits of time, memory and fuel: those that the handler claims hold in this process, and others in a worker process."""

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
_SHORT = 1.0  # seconds, in which a guest gets to write something on a busy machine as well
_PAGE = 64 << 10
_FEW = "1024"  # pages
_MANY = "8192"
_PLENTY = 1 << 40  # instructions


class TimeLimits(Conformance):
    """A time limit."""

    def test_time_limit_holds(self, run: Runner) -> None:
        """A guest that computes is ended in this process: TIMED_OUT with 124, and its output. Needs ``time-limit``."""
        run.claims(Capability.TIME_LIMIT)
        result = run("spin", _longer(run), limits=Limits(time=_SHORT))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.TIMED_OUT, TIMED_OUT), f"a limit of {_SHORT:g} s didn't hold: {ended(result)}"
        assert result.stdout == b"begun\n", f"stdout is {result.stdout!r}; what was written before the limit is lost"

    def test_time_limit_may_be_less_than_a_second(self, run: Runner) -> None:
        """Seconds have fractions. Needs ``time-limit``."""
        run.claims(Capability.TIME_LIMIT)
        result = run("spin", _longer(run), limits=Limits(time=0.2))
        assert result.reason is ExitReason.TIMED_OUT, f"a limit of 0.2 s didn't hold: {ended(result)}"

    def test_time_limit_that_is_not_reached_changes_nothing(self, run: Runner) -> None:
        """A guest that ends in time ends by itself. Needs ``time-limit``."""
        run.claims(Capability.TIME_LIMIT)
        result = run("exit", "5", limits=Limits(time=1000.0))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 5), f"within its limit: {ended(result)}"

    def test_time_limit_claims_can_be_asked(self, run: Runner) -> None:
        """A handler that claims ``time-limit`` is Interruptible, and says no where a guest may wait for ever."""
        run.claims(Capability.TIME_LIMIT)
        assert isinstance(run.handler, Interruptible), "time-limit is claimed, and there is no method 'interrupts'"
        computes = run.handler.interrupts(Module.from_bytes(guest_bytes("spin")), Stdio.capture())
        assert computes, "time-limit is claimed, and 'interrupts' says no to a guest that computes"

    def test_time_limit_holds_while_the_guest_waits(self, run: Runner) -> None:
        """A guest that waits for input is ended too: in this process, or where 'interrupts' says no, in a worker."""
        source, writing = os.pipe()
        given = os.fdopen(writing, "wb", buffering=0)  # closed by whichever comes first
        rescue = threading.Timer(run.patience, given.close)
        rescue.start()  # where the limit isn't held, the end of its input ends the guest: it must not hold up the tests
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
        """For every handler: the process is ended that the guest runs in."""
        result = run.in_worker(run.bundle("spin", _longer(run)), Limits(time=_SHORT))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.TIMED_OUT, TIMED_OUT), f"a limit of {_SHORT:g} s didn't hold: {ended(result)}"
        assert result.stdout == b"begun\n", f"stdout is {result.stdout!r}; what was written before the limit is lost"


class MemoryLimits(Conformance):
    """A limit of memory."""

    def test_memory_limit_holds(self, run: Runner) -> None:
        """A guest that dies of the refusal: OUT_OF_MEMORY with 137. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "trap", _FEW, limits=Limits(memory=8 * MIB))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.OUT_OF_MEMORY, OUT_OF_MEMORY), f"a limit of 8 MiB didn't hold: {ended(result)}"

    def test_memory_limit_of_the_spec_holds(self, run: Runner) -> None:
        """``linux.resources.memory.limit``, where the caller gives none. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "trap", _FEW, memory=8 * MIB)
        assert result.reason is ExitReason.OUT_OF_MEMORY, f"the spec's limit of 8 MiB didn't hold: {ended(result)}"

    def test_guest_may_cope_with_a_memory_limit(self, run: Runner) -> None:
        """It is told that there is no more, and ends as it likes. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "cope", _FEW, limits=Limits(memory=8 * MIB))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.EXITED, 7), f"a guest that copes with a refusal exits with 7, not {ended(result)}"

    def test_refusal_of_memory_is_told(self, run: Runner) -> None:
        """The message of a guest that ends by itself tells that it was refused memory. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        if not self.tells_of_refusals:
            pytest.skip(f"{run.handler.name} is said to tell of no refusals")
        message = run("grow", "cope", _FEW, limits=Limits(memory=8 * MIB)).message
        assert "memory" in message, f"the message is {message!r}; the guest was refused memory before it exited"
        message = run("grow", "trap", "64", limits=Limits(memory=8 * MIB)).message
        assert message == "", f"the message is {message!r}; the guest wasn't refused anything"

    def test_another_trap_is_no_lack_of_memory(self, run: Runner) -> None:
        """A guest that copes with a refusal, and then divides by zero, is TRAPPED, with a limit (``memory-limit``) and without."""
        limits = [Limits()]
        if Capability.MEMORY_LIMIT in run.handler.capabilities:
            limits.append(Limits(memory=8 * MIB))
        for each in limits:
            result = run("divide", limits=each)
            assert result.reason is ExitReason.TRAPPED, (
                f"a division by zero with {each} gave {ended(result)}; expected TRAPPED"
            )

    def test_guest_that_never_gives_up_is_ended(self, run: Runner) -> None:
        """One that asks again and again dies of it: OUT_OF_MEMORY. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "retry", _FEW, limits=Limits(memory=8 * MIB))
        assert result.reason is ExitReason.OUT_OF_MEMORY, f"a guest was refused a million times: {ended(result)}"

    def test_memory_limit_holds_from_the_beginning(self, run: Runner) -> None:
        """A module that wants more from the beginning is OUT_OF_MEMORY. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("huge", limits=Limits(memory=8 * MIB))
        assert result.reason is ExitReason.OUT_OF_MEMORY, f"1 GiB within a limit of 8 MiB: {ended(result)}"

    def test_memory_within_the_limit_is_given(self, run: Runner) -> None:
        """What the limit allows the guest gets. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        result = run("grow", "trap", "64", limits=Limits(memory=8 * MIB))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 3), f"4 MiB of 8 were refused: {ended(result)}"

    def test_memory_limit_is_the_last_page_that_fits(self, run: Runner) -> None:
        """The guest gets every page of 64 KiB that the limit has room for, and not one more. Needs ``memory-limit``."""
        run.claims(Capability.MEMORY_LIMIT)
        limits = Limits(memory=101 * _PAGE - 1)
        found = [run("grow", "once", pages, limits=limits).exit_code for pages in ("100", "101")]
        assert found == [3, 7], f"a limit of 101 pages less one byte: 100 and 101 gave {found}, and not 3 and 7"

    def test_memory_limit_holds_in_a_worker_process(self, run: Runner) -> None:
        """For every handler: a guest never has much more than the limit."""
        result = run.in_worker(run.bundle("grow", "cope", _MANY), Limits(memory=32 * MIB))
        had_all = (result.reason, result.exit_code) == (ExitReason.EXITED, 3)
        assert not had_all, "a guest was given 512 MiB by a worker with a limit of 32 MiB"


class FuelLimits(Conformance):
    """A limit of instructions."""

    def test_fuel_limit_holds(self, run: Runner) -> None:
        """A guest that runs out of it: TIMED_OUT with 124. Needs ``fuel``."""
        run.claims(Capability.FUEL)
        result = run("spin", _longer(run), limits=Limits(fuel=1_000_000))
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.TIMED_OUT, TIMED_OUT), (
            f"a limit of a million instructions didn't hold: {ended(result)}"
        )

    def test_enough_fuel_changes_nothing(self, run: Runner) -> None:
        """A guest that gets by with it ends by itself. Needs ``fuel``."""
        run.claims(Capability.FUEL)
        result = run("exit", "5", limits=Limits(fuel=_PLENTY))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 5), f"with plenty of fuel: {ended(result)}"


def _longer(run: Runner) -> str:
    """Milliseconds after which a guest ends that no limit has ended: it must not hold up the tests."""
    return str(int((_SHORT + run.patience) * 1000))
