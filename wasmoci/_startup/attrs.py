"""Replaces attrs in modules that every start loads: type checkers see attrs, a running program :mod:`.data_classes`."""

from __future__ import annotations

from wasmoci._startup import data_classes
from wasmoci._startup.typing import TYPE_CHECKING

__all__ = ["Attribute", "asdict", "define", "evolve", "field", "fields", "frozen", "validators"]

if TYPE_CHECKING:
    from attrs import Attribute, asdict, define, evolve, field, fields, frozen, validators
else:
    define, evolve, field, frozen = data_classes.define, data_classes.evolve, data_classes.field, data_classes.frozen

    def __getattr__(name: str) -> object:
        import attrs  # noqa: PLC0415  for what is used seldom

        return getattr(attrs, name)
