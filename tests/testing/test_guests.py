"""The conformance kit's guests are what their sources say."""

from __future__ import annotations

from pathlib import Path

import pytest

import wasmoci.testing
from tests.conftest import usable

GUESTS = Path(wasmoci.testing.__file__).parent / "guests"
SOURCES = sorted(GUESTS.glob("*.wat"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_binaries_are_those_of_their_sources(source: Path) -> None:
    """Assembled again, each gives the same bytes."""
    usable("wasmtime")
    from tests.testing.guests import assembled  # noqa: PLC0415  needs the engine

    assert source.with_suffix(".wasm").read_bytes() == assembled(source), "python -m tests.testing.guests makes it anew"


def test_every_binary_has_a_source() -> None:
    """None is there that nobody can read."""
    assert sorted(path.stem for path in GUESTS.glob("*.wasm")) == [source.stem for source in SOURCES]
