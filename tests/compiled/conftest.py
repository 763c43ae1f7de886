"""A cache of its own for each test, and an engine that counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wasmoci import compiled
from wasmoci.compiled import code_cache
from wasmoci.text import log

if TYPE_CHECKING:
    from collections.abc import Callable


class Counter:
    """Makes bytes of a module's digest, and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def get(self, module: str = "m", *, version: str = "1", size: int = 100) -> bytes:
        """The code of a module, from the cache or made."""

        def make() -> bytes:
            self.made += 1
            return module.encode() * size

        key = compiled.Key(module, "counter", version, "plain")
        return compiled.fetch(key, make=make, dump=bytes, load=lambda path: Path(path).read_bytes())


@pytest.fixture
def counter() -> Counter:
    """An engine that counts."""
    return Counter()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the entries; it isn't there yet."""
    monkeypatch.setenv("WASMOCI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "modules"


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the cache warns of."""
    told: list[str] = []
    monkeypatch.setattr(log, "_listeners", [told.append])
    monkeypatch.setattr(code_cache, "_warnings", [])
    return told


@pytest.fixture
def only(cache: Path) -> Callable[[str], Path]:
    """The only file in the cache with a suffix."""

    def find(suffix: str) -> Path:
        (file,) = cache.glob(f"*{suffix}")
        return file

    return find
