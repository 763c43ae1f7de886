"""Records one run of a test: its arguments and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.determinism import Determinism, applied
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.explanation import explain_bundle

if TYPE_CHECKING:
    from wasmoci.dispatch.explanation import Explanation
    from wasmoci.dispatch.request import Request
    from wasmoci.errors import WasmociError
    from wasmoci.isolation.running_guest import RunningGuest
    from wasmoci.testing.guest_run import GuestRun


@attrs.define(eq=False)
class Attempt:
    """One run of a test.

    Args:
        request: What was asked for.
        determinism: The time and random bytes that it got in place of the host's.
        run: How it went, once it has ended.
        guest: The guest, if it was only started.
        error: Why it could not be run.
    """

    request: Request
    determinism: Determinism | None = None
    run: GuestRun | None = None
    guest: RunningGuest | None = None
    error: WasmociError | None = None

    def explain(self) -> Explanation:
        """Return the dispatcher's decision.

        Raises:
            WasmociError: The bundle doesn't exist any more.
        """
        with applied(self.determinism):
            return explain_bundle(self.request, Dispatcher())

    def runs_elsewhere(self) -> bool:
        """Return whether another engine can run it: if none can, the engine isn't at fault."""
        with applied(self.determinism):
            return explain_bundle(attrs.evolve(self.request, engine=None), Dispatcher()).runs_on is not None
