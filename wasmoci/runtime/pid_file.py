"""The file in which the native runtime writes the process id of what it creates: the caller's, or one of our own."""

from __future__ import annotations

import os
import select
from pathlib import Path

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.runtime.command_line import Invocation
    from wasmoci.runtime.record import Record

_PAUSE = 2  # milliseconds between two looks at it
_NAME = "pid"


@attrs.frozen
class PidFile:
    """Such a file.

    Args:
        path: The file, a host path.
        option: The options by which the native runtime writes it, beside those of the call.
    """

    path: Path
    option: tuple[str, ...]

    @classmethod
    def of(cls, invocation: Invocation, record: Record) -> PidFile:
        """That of a call of ``create`` or ``run``.

        Args:
            invocation: The call.
            record: The record of the container, in whose directory it is unless the call names one.
        """
        named = invocation.parsed().value("pid-file")
        if named is not None:
            return cls(Path(named), ())
        own = record.directory / _NAME
        return cls(own, ("--pid-file", str(own)))

    def read(self) -> int | None:
        """The process id; None where none is written yet."""
        try:
            return int(self.path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def await_beside(self, process: int) -> int | None:
        """Wait until it is written; None when a child process ends before that.

        Args:
            process: The child process, which isn't collected.
        """
        descriptor = os.pidfd_open(process)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            while True:
                ended = poll.poll(_PAUSE)
                found = self.read()
                if found is not None or ended:
                    return found
        finally:
            os.close(descriptor)
