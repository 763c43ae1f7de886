"""The guests that the other tests run can be compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.guests import SOURCES, TOOLCHAINS, build
from wasmoci.wasm.module import Module, ModuleKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

C = sorted(path.stem for path in SOURCES.glob("*.c"))
TEXT = sorted(path.stem for path in SOURCES.glob("*.wat"))


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize("name", C)
def test_c(name: str, toolchain: str) -> None:
    """Each guest in C is a WASI program with either compiler."""
    module = Module.read(build(name, toolchain))
    assert module.kind is ModuleKind.CORE
    assert module.export("_start") is not None
    assert {item.module for item in module.imports} == {"wasi_snapshot_preview1"}


@pytest.mark.parametrize("name", TEXT)
def test_text(guest: Callable[..., Path], name: str) -> None:
    """Each guest in text form is a module."""
    assert Module.read(guest(name)).kind is ModuleKind.CORE


def test_cached(guest: Callable[..., Path]) -> None:
    """A guest is compiled once."""
    first = guest("hello")
    before = first.stat().st_mtime_ns
    assert guest("hello") == first
    assert first.stat().st_mtime_ns == before
