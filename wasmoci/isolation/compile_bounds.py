"""Defines the limits on validating and compiling a module, before anything of the guest runs."""

from __future__ import annotations

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class Group(Protocol):
        """A group of processes whose resources the kernel limits, such as a cgroup.

        Attributes:
            memory: Bytes of memory that it may use; None when no more is known.
        """

        @property
        def memory(self) -> int | None:
            """See above."""

        def join(self, process: int) -> Rest:
            """Add a process to the group.

            Returns:
                What the group doesn't hold, so that others have to.
            """

        def ran_out(self) -> bool:
            """Return whether a process of the group was killed because of its memory limit."""


DEFAULT_TIME = 60.0
"""Seconds that preparing a module may take."""
DEFAULT_MEMORY = 2 << 30
"""Bytes that it may allocate."""
MORE_TIME = (
    "where the module is to be trusted with more, give it more time: --compile-timeout SECONDS, WASMOCI_COMPILE_TIMEOUT,"
    " or compile_timeout in the configuration file"
)
"""What somebody can do whose module takes longer."""


@attrs.frozen(kw_only=True)
class Rest:
    """The limits that a group can't enforce; None for those that it enforces, or doesn't have.

    Args:
        memory: Bytes, which the process may then allocate beside what it has.
        processors: How many processors; the process is then stopped while it is ahead of its share.
    """

    memory: int | None = None
    processors: float | None = None


@attrs.frozen(kw_only=True)
class Bounds:
    """Limits on preparing one module; None means no limit.

    Args:
        time: Seconds of wall-clock time.
        memory: Bytes that the process may allocate for it.
        processors: How many processors it may use at a time, on average; a part of one is as good a number as any.
        group: What its process has to join first.
        spent: Seconds of the whole time that are over, as with waiting for another process; ``time`` is what is left.
    """

    time: float | None = DEFAULT_TIME
    memory: int | None = DEFAULT_MEMORY
    processors: float | None = None
    group: Group | None = None
    spent: float = 0.0

    @property
    def is_none(self) -> bool:
        """Whether there is no limit at all."""
        return self.time is None and self.memory is None and self.processors is None and self.group is None


DEFAULT = Bounds()
NONE = Bounds(time=None, memory=None)
