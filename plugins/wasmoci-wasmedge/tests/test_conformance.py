"""The contract of a handler, on WasmEdge, wherever its library is."""

from __future__ import annotations

import pytest
from wasmoci_wasmedge import WasmedgeHandler

from wasmoci import EngineUnavailable
from wasmoci.testing import HandlerConformance


def _missing() -> str:
    try:
        WasmedgeHandler()
    except EngineUnavailable as error:
        return str(error)
    return ""


MISSING = _missing()


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
class TestWasmedge(HandlerConformance):
    """All of it. No index of packages has the library, so its absence is no failure anywhere."""

    handler = WasmedgeHandler
