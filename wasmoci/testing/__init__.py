"""Helpers for tests: bundles from a single call, and the conformance kit for engine handlers.

::

    from wasmoci.testing import HandlerConformance, bundle

    made = bundle(tmp_path / "bundle", Path("app.wasm"), args=["--name", "x"], files={"/etc/name": "x"})
    wasmoci.run(made).check()

    class TestMyHandler(HandlerConformance):
        handler = MyHandler

Only the kit needs pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.testing.bundles import assemble, bundle
from wasmoci.testing.changes import Changes
from wasmoci.testing.guest_run import GuestRun

if TYPE_CHECKING:
    from wasmoci.testing.conformance import HandlerConformance

__all__ = ["Changes", "GuestRun", "HandlerConformance", "assemble", "bundle"]


def __getattr__(name: str) -> object:
    if name != "HandlerConformance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from wasmoci.testing.conformance import HandlerConformance  # noqa: PLC0415  bundles need no pytest

    return HandlerConformance
