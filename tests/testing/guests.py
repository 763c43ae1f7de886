"""Assembles the conformance kit's guests again: ``python -m tests.testing.guests``."""

from __future__ import annotations

from pathlib import Path

from wasmtime import wat2wasm

import wasmoci.testing

GUESTS = Path(wasmoci.testing.__file__).parent / "guests"


def assembled(source: Path) -> bytes:
    """The binary of a guest's source."""
    return bytes(wat2wasm(source.read_text(encoding="utf-8")))


if __name__ == "__main__":
    for source in sorted(GUESTS.glob("*.wat")):
        source.with_suffix(".wasm").write_bytes(assembled(source))
