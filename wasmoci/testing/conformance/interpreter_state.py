"""What a run may not change of the process beside its streams, its directory and its environment."""

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
    """The rest of what :class:`TheProcess` has, and what only a handler's first run does."""

    def test_first_run_leaves_the_process_as_it_was(self, run: Runner) -> None:
        """Of a handler that loads its engine in its first run, and sets the process up for it, later runs show nothing."""
        run("return")
        changed = run.first_changes()
        assert not changed, f"the handler's first run in this process changed {', '.join(changed)}, and left it so"

    def test_environment_of_child_processes_is_left_alone(self, run: Runner) -> None:
        """What ``putenv`` sets, without ``os.environ`` knowing of it."""
        _expect_the_same(run, environment, "the environment that child processes get")

    def test_signal_mask_is_left_alone(self, run: Runner) -> None:
        """Of the thread that the handler was called on."""
        _expect_the_same(run, signal_mask, "the signal mask")

    def test_timers_are_left_alone(self, run: Runner) -> None:
        """There is one of each kind, and the caller may use it."""
        _expect_the_same(run, timers, "a timer")

    def test_resource_limits_are_left_alone(self, run: Runner) -> None:
        """Of the process, and its priority."""
        _expect_the_same(run, limits, "the resource limits or the priority")

    def test_interpreter_is_left_alone(self, run: Runner) -> None:
        """Hooks, the locale, ``sys.path``, the garbage collector, the generator of random numbers, and such."""
        before = interpreter()
        run("trap", "unreachable")
        changed = changes(before, interpreter())
        assert not changed, f"{', '.join(changed)} was changed by the run, and left so"


def _expect_the_same(run: Runner, look: Callable[[], object], what: str) -> None:
    """Look before a run on this thread, in the middle of it, and after it."""
    before, during = look(), []
    caller = threading.get_ident()

    def take(_: bytes) -> None:
        if threading.get_ident() == caller:
            during.append(look())

    run("streams", stdio=Stdio(stdin=b"", stdout=take, stderr=Stream.NULL))
    assert look() == before, f"{what} of the process was changed by the run, and left so"
    assert all(found == before for found in during), f"{what} of the process was changed during the run"
