"""Our own handlers keep the contract, by the kit that everybody has."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable
from wasmoci.testing import HandlerConformance
from wasmoci.testing.conformance.base import made

if TYPE_CHECKING:
    from wasmoci.handlers.base import EngineHandler


class _Ours(HandlerConformance):
    engine_name: str

    @pytest.fixture
    def subject(self) -> EngineHandler:
        """The handler, where its engine is installed."""
        usable(self.engine_name)
        module = importlib.import_module(f"wasmoci.handlers.{self.engine_name}")
        return made(getattr(module, f"{self.engine_name.capitalize()}Handler"))


class TestWasmtime(_Ours):
    """On wasmtime."""

    engine_name = "wasmtime"


class TestWasmer(_Ours):
    """On wasmer, by the back end that is for this Python."""

    engine_name = "wasmer"


class TestWasm3(_Ours):
    """On wasm3."""

    engine_name = "wasm3"
