"""Provides ``TYPE_CHECKING`` and ``NamedTuple`` without importing :mod:`typing`, which takes 3 ms of every start.

Type checkers see :mod:`typing` itself: they treat any name ``TYPE_CHECKING`` as true.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    _OF_THE_CLASS = ("__doc__", "__qualname__")

    class _Maker(type):
        """Makes a tuple of whatever names the class as its base."""

        def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> Any:
            if not bases:
                return super().__new__(cls, name, bases, members)
            fields = members.pop("__annotations__")
            defaults = [members.pop(field) for field in fields if field in members]
            made: Any = namedtuple(name, fields, defaults=defaults, module=members.pop("__module__"))  # noqa: PYI024
            for member, value in members.items():
                if member in _OF_THE_CLASS or member not in vars(object):
                    setattr(made, member, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """See :class:`typing.NamedTuple`."""


__all__ = ["TYPE_CHECKING", "NamedTuple"]
