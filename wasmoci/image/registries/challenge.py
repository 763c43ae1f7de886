"""Parses the ``WWW-Authenticate`` header: challenges, each a scheme with parameters (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_HEADER = 16 << 10
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}|[^\s,"]+))')
_SCHEME = re.compile(rf"({_WORD})(?:\s+|\Z|(?=,))")
_BETWEEN = re.compile(r"[\s,]*")


@attrs.frozen
class Challenge:
    """One authentication method; names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Parse the header up to the first syntax error."""
    return tuple(_challenges(header[:_MAX_HEADER]))


def _challenges(header: str) -> Iterator[Challenge]:
    position = _after(header, 0)
    while (scheme := _SCHEME.match(header, position)) is not None:
        position = _after(header, scheme.end())
        parameters: dict[str, str] = {}
        while (found := _PARAMETER.match(header, position)) is not None:
            quoted = found[2]
            # The first one counts: only an attacker would send a second one of the same name.
            parameters.setdefault(found[1].lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else found[3])
            position = _after(header, found.end())
        yield Challenge(scheme[1].lower(), parameters)


def _after(header: str, position: int) -> int:
    found = _BETWEEN.match(header, position)
    return position if found is None else found.end()
