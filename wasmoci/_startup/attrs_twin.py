"""Creates the attrs class for one of our data classes from its source, so that introspection with attrs works.

It is loaded when a class is inspected: its signature, its attributes, or with a function of attrs.
"""

from __future__ import annotations

import functools
from typing import Any

import attrs


def of(cls: type) -> Any:
    """Return the twin of a class, or of the nearest class of ours that it is derived from."""
    return _made(next(base for base in cls.__mro__ if _is_ours(base)))


@functools.cache
def _made(cls: Any) -> Any:
    body: dict[str, Any] = {
        name: vars(cls)[name]
        for name in ("__annotations__", "__doc__", "__module__", "__qualname__")
        if name in vars(cls)
    }
    fields = {item.name: item for item in cls._wasmoci_fields}
    body |= {name: _attribute(fields[name]) for name in body.get("__annotations__", ()) if name in fields}
    bases = tuple(_made(base) if _is_ours(base) else base for base in cls.__bases__)
    return attrs.define(
        type(cls.__name__, bases, body),
        slots=False,
        frozen="__setattr__" in vars(cls),
        eq="__eq__" in vars(cls),
        repr="__repr__" in vars(cls),
    )


def _is_ours(cls: type) -> bool:
    return "_wasmoci_fields" in vars(cls)


def _attribute(item: Any) -> Any:
    default = attrs.NOTHING if item.required else item.default
    return attrs.field(
        default=default if item.factory is None else attrs.Factory(item.factory),
        validator=item.validator,
        init=item.init,
        repr=item.repr,
        eq=item.eq,
        kw_only=item.kw_only,
    )
