"""Gives guests the same time and the same random bytes in every run.

::

    with wasmoci.deterministic(seed=7):
        first, second = wasmoci.run("bundle/"), wasmoci.run("bundle/")

The choice applies to all guests that are started in the context, in whatever process they run. It is kept in a context variable
instead of a handler's arguments, so that the contract of handlers is unchanged.
"""

from __future__ import annotations

import contextlib
import contextvars
import math

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


EPOCH = 946_684_800  # 2000-01-01T00:00:00Z
_LATEST = (1 << 64) / 1e9  # seconds that a clock of WASI can tell


def _time(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (math.isfinite(value) and 0 <= value < _LATEST):
        msg = f"{attribute.name} is {value!r}; expected seconds, 0 or more"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class Determinism:
    """The deterministic time and random bytes of a guest.

    Args:
        time: The time of day when the guest starts, in seconds since 1970-01-01T00:00:00Z. From there it passes while the guest
            sleeps, which takes no time on the host, and with each look at a clock.
        seed: The seed of its random bytes.
        tick: Seconds that pass with each reading of a clock, so that a guest that polls a clock without sleeping continues.
    """

    time: float = attrs.field(default=EPOCH, validator=_time)
    seed: int = 0
    tick: float = attrs.field(default=1e-6, validator=_time)


def current() -> Determinism | None:
    """Return the current choice for new guests; None for the host's clocks and random generator."""
    return _current.get()


@contextlib.contextmanager
def applied(determinism: Determinism | None) -> Iterator[None]:
    """Apply it to all guests that are started in the context."""
    token = _current.set(determinism)
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def deterministic(*, time: float = EPOCH, seed: int = 0, tick: float = 1e-6) -> Iterator[None]:
    """Give all guests that are started in the context the same time and the same random bytes in every run.

    Args:
        time: The time of day when a guest starts, in seconds since 1970-01-01T00:00:00Z.
        seed: The seed of its random bytes.
        tick: Seconds that pass with each reading of a clock.

    Raises:
        ValueError: A time is out of the range of a guest's clock.
    """
    with applied(Determinism(time=time, seed=seed, tick=tick)):
        yield


_current: contextvars.ContextVar[Determinism | None] = contextvars.ContextVar("determinism", default=None)
