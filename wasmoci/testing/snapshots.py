"""Compares runs with syrupy snapshots, one for all engines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from syrupy.extensions.amber import AmberSnapshotExtension

from wasmoci.testing.guest_run import GuestRun

if TYPE_CHECKING:
    from syrupy.location import PyTestLocation
    from syrupy.types import SnapshotIndex

ENGINE_FIXTURE = "wasm_engine"


class GuestSnapshot(AmberSnapshotExtension):
    """Serialises a run as its transcript, and anything else as syrupy does."""

    def serialize(self, data: Any, **options: Any) -> str:
        """See syrupy."""
        return super().serialize(_Transcript(data) if isinstance(data, GuestRun) else data, **options)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        """Return the name without the engine, so that all engines share one snapshot; see syrupy."""
        name = super().get_snapshot_name(test_location=test_location, index=index)
        callspec = getattr(test_location.item, "callspec", None)
        choice = None if callspec is None else callspec.params.get(ENGINE_FIXTURE)
        engine = re.escape(getattr(choice, "name", str(choice)))
        # Parameters are in brackets, separated by hyphens.
        name = re.sub(rf"\[{engine}\]", "", name, count=1)
        return re.sub(rf"(\[){engine}-|-{engine}(?=[\]-])", r"\1", name, count=1)


class _Transcript:
    """A run whose ``repr``, which syrupy writes, is its transcript."""

    def __init__(self, run: GuestRun) -> None:
        self._run = run

    def __repr__(self) -> str:
        return self._run.transcript()
