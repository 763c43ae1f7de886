"""Tests deterministic time and random bytes, for handlers that claim ``determinism``."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from wasmoci.determinism import Determinism, applied
from wasmoci.handlers.capabilities import Capability
from wasmoci.limits import Limits
from wasmoci.testing.conformance.base import Conformance, ended

if TYPE_CHECKING:
    from wasmoci.testing.conformance.base import Runner

_WRITTEN = struct.Struct("<Q8sQ")
_CHOSEN = Determinism(time=1_700_000_000, seed=7, tick=0)
_TIME = 1_700_000_000 * 10**9  # nanoseconds
_RANDOM = bytes.fromhex("38b4e652e44da7f2")  # of the generator of Python's module random with the seed 7
_SLEPT = 200_000_000  # as long as the guest sleeps


class TimeAndChance(Conformance):
    """The promises of :func:`wasmoci.deterministic`."""

    @pytest.mark.parametrize("place", ["here", "in a worker"])
    def test_determinism_gives_what_was_chosen(self, run: Runner, place: str) -> None:
        """The guest gets the chosen time and random bytes, and a sleep advances its clock. Needs ``determinism``."""
        run.claims(Capability.DETERMINISM)
        made = run.bundle("chance")
        with applied(_CHOSEN):
            result = run.execute(made) if place == "here" else run.in_worker(made, Limits())
        assert result.ok, f"the guest was expected to exit with 0: {ended(result)}"
        time, random, slept = _WRITTEN.unpack(result.stdout or b"")
        assert time == _TIME, f"the time of day was {time} ns; {_TIME} was chosen"
        assert random == _RANDOM, f"the random bytes were {random.hex()}; those of the seed are {_RANDOM.hex()}"
        assert slept == _SLEPT, f"a sleep took {slept} ns on the guest's clock; expected {_SLEPT}"

    def test_determinism_ends_with_its_context(self, run: Runner) -> None:
        """A run after a deterministic one gets real time and randomness. Needs ``determinism``."""
        run.claims(Capability.DETERMINISM)
        made = run.bundle("chance")
        with applied(_CHOSEN):
            run.execute(made)
        time, random, _ = _WRITTEN.unpack(run.execute(made).stdout or b"")
        assert time > _TIME, "a run got the time of an earlier one"
        assert random != _RANDOM, "a run got the random bytes of an earlier one"
