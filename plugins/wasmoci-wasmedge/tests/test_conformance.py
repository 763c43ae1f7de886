"""The contract of a handler, on WasmEdge, wherever its library is."""

import pytest
from wasmoci_wasmedge import WasmedgeHandler

from wasmoci import EngineUnavailable
from wasmoci.testing import HandlerConformance


class TestWasmedge(HandlerConformance):
    """All of it. No index of packages has the library, so its absence is no failure anywhere."""

    handler = WasmedgeHandler

    @pytest.fixture
    def subject(self) -> WasmedgeHandler:
        """The handler under test."""
        try:
            return WasmedgeHandler()
        except EngineUnavailable as error:
            pytest.skip(str(error))
