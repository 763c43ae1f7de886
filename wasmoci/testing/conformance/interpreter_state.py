"""Tests that a run doesn't change the settings of the process and of its Python interpreter."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from wasmoci.stdio import Stdio, Stream
from wasmoci.testing.conformance.base import Conformance
from wasmoci.testing.conformance.process_state import changes, environment, interpreter, limits, signal_mask, timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.testing.conformance.base import Runner


class ProcessSettings(Conformance):
    """The settings of the process stay the same; see also :class:`TheProcess`."""

    def test_first_run_leaves_the_process_as_it_was(self, run: Runner) -> None:
        """The first run of a handler, which may load its engine, changes nothing in the process."""
        run("return")
        changed = run.first_changes()
        assert not changed, f"the handler's first run in this process changed {', '.join(changed)}, and left it so"

    def test_environment_of_child_processes_is_left_alone(self, run: Runner) -> None:
        """``putenv`` isn't used, which sets variables that ``os.environ`` doesn't show."""
        _expect_the_same(run, environment, "the environment that child processes get")

    def test_signal_mask_is_left_alone(self, run: Runner) -> None:
        """The signal mask of the calling thread stays the same."""
        _expect_the_same(run, signal_mask, "the signal mask")

    def test_timers_are_left_alone(self, run: Runner) -> None:
        """The timers stay the same: there is one of each kind, which the caller may use."""
        _expect_the_same(run, timers, "a timer")

    def test_resource_limits_are_left_alone(self, run: Runner) -> None:
        """The resource limits and the priority of the process stay the same."""
        _expect_the_same(run, limits, "the resource limits or the priority")

    def test_interpreter_is_left_alone(self, run: Runner) -> None:
        """Hooks, the locale, ``sys.path``, the garbage collector, the random number generator and others stay the same."""
        before = interpreter()
        run("trap", "unreachable")
        changed = changes(before, interpreter())
        assert not changed, f"{', '.join(changed)} was changed by the run, and left so"


def _expect_the_same(run: Runner, look: Callable[[], object], what: str) -> None:
    """Compare the state before a run on this thread, during it, and after it."""
    before, during = look(), []
    caller = threading.get_ident()

    def take(_: bytes) -> None:
        if threading.get_ident() == caller:
            during.append(look())

    run("streams", stdio=Stdio(stdin=b"", stdout=take, stderr=Stream.NULL))
    assert look() == before, f"{what} of the process was changed by the run, and left so"
    assert all(found == before for found in during), f"{what} of the process was changed during the run"
