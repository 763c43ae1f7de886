"""What a guest may use."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import attrs
else:
    from wasmoci import _attrs as attrs


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        msg = f"{attribute.name} is {value!r}; expected more than 0, or None for no limit"
        raise ValueError(msg)


@attrs.frozen
class Limits:
    """Bounds on one run; None means no bound.

    Args:
        time: Seconds of wall-clock time, from the start of the entry function.
        memory: Bytes of linear memory, all of the guest's memories together.
        fuel: Instructions, as wasmtime counts them; only an engine with ``Capability.FUEL`` holds it.
    """

    time: float | None = attrs.field(default=None, validator=_positive)
    memory: int | None = attrs.field(default=None, validator=_positive)
    fuel: int | None = attrs.field(default=None, validator=_positive)
