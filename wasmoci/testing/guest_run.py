"""The result of a run in a test, for assertions, comparisons and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.testing.changes import Changes
from wasmoci.testing.tracebacks import short_traceback
from wasmoci.testing.transcript import transcript

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = 60  # bytes of output in a repr


@attrs.frozen(kw_only=True, eq=False, repr=False)
class GuestRun(ExecutionResult):
    """An :class:`~wasmoci.ExecutionResult` with the changes of the guest's files.

    Two runs are equal if exit code, reason, output and changes are equal. The engine, the duration and the wording of a
    trap are ignored.

    Args:
        changes: What the guest changed in its root file system and in writable bind mounts.
    """

    changes: Changes = attrs.field(factory=Changes)

    @property
    def out(self) -> str:
        """The standard output as text; bytes that aren't UTF-8 are replaced."""
        return (self.stdout or b"").decode("utf-8", "replace")

    @property
    def err(self) -> str:
        """The standard error as text; bytes that aren't UTF-8 are replaced."""
        return (self.stderr or b"").decode("utf-8", "replace")

    @property
    def files(self) -> Mapping[str, bytes]:
        """Files that the guest created or wrote to: guest paths, and their content afterwards."""
        return self.changes.files

    @property
    def ending(self) -> str:
        """A short description of how it ended."""
        if self.reason is ExitReason.EXITED:
            return f"exited with {self.exit_code}"
        return f"{self.reason.value}, exit code {self.exit_code}"

    @short_traceback
    def check(self) -> GuestRun:
        """Return the run itself if the guest exited with 0.

        Raises:
            GuestFailed: It ended in any other way.
        """
        ExecutionResult.check(self)
        return self

    def transcript(self) -> str:
        """Everything that is compared for equality, as text."""
        return transcript(self, self.changes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GuestRun):
            return NotImplemented
        return self._observed() == other._observed()

    def __hash__(self) -> int:
        return hash(self._observed()[:4])

    def __repr__(self) -> str:
        output = "".join(
            f", {name} {_shortened(data)}" for name, data in (("stdout", self.stdout), ("stderr", self.stderr)) if data
        )
        return f"<{self.engine}: {self.ending}{output}>"

    def _observed(self) -> tuple[int, ExitReason, bytes | None, bytes | None, Changes]:
        return self.exit_code, self.reason, self.stdout, self.stderr, self.changes


def _shortened(data: bytes) -> str:
    return repr(data) if len(data) <= _SHOWN else f"{data[:_SHOWN]!r}..."
