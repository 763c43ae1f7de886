"""Defines the limits of a run: time, memory and fuel."""

from __future__ import annotations

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def positive(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    """See that a value is a number above 0, or None.

    Raises:
        TypeError: It isn't a number.
        ValueError: It isn't more than 0.
    """
    if value is None:
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        msg = f"{attribute.name} is {value!r}; a number was expected, or None for no limit"
        raise TypeError(msg)
    if not value > 0:
        msg = f"{attribute.name} is {value!r}; expected more than 0, or None for no limit"
        raise ValueError(msg)


def positive_integer(instance: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    """See that a value is an integer above 0, or None.

    Raises:
        TypeError: It isn't an integer.
        ValueError: It isn't more than 0.
    """
    positive(instance, attribute, value)
    if isinstance(value, float):
        msg = f"{attribute.name} is {value!r}; an integer was expected, or None for no limit"
        raise TypeError(msg)


@attrs.frozen
class Limits:
    """The limits of one run; None means no limit.

    Args:
        time: Seconds of wall-clock time, from the start of the entry function.
        memory: Bytes of linear memory, all of the guest's memories together.
        fuel: Instructions, as wasmtime counts them; only an engine with ``Capability.FUEL`` can enforce it.

    Raises:
        TypeError: One isn't a number; or ``memory`` or ``fuel`` isn't an integer.
        ValueError: One isn't more than 0.
    """

    time: float | None = attrs.field(default=None, validator=positive)
    memory: int | None = attrs.field(default=None, validator=positive_integer)
    fuel: int | None = attrs.field(default=None, validator=positive_integer)


NO_LIMITS = Limits()
_STOPPABLE = Limits(time=86400.0)


def stoppable(limits: Limits) -> Limits:
    """What code is compiled for that has to be stoppable, whatever the time."""
    if limits.time is not None:
        return limits
    if limits.memory is None and limits.fuel is None:
        return _STOPPABLE
    return Limits(time=_STOPPABLE.time, memory=limits.memory, fuel=limits.fuel)
