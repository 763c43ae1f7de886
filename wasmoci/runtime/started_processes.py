"""Identifies, and kills, the processes that a command has started to create a container.

A command sets a random mark in the native runtime's environment, which all processes that it forks inherit, and which is otherwise
only in the container's record. A process is killed by a process descriptor that was opened before the check, so that another process
with a reused id is never killed.
"""

from __future__ import annotations

import contextlib
import os
import signal

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "_WASMOCI_MAKING"
_OF_RUNC = b"_LIBCONTAINER_"
"""The prefix of the variables that runc sets only for a process that is to become a container's."""


class Process:
    """A process in ``/proc``.

    Args:
        directory: Its directory in ``/proc``.

    Raises:
        OSError: It has ended, or is somebody else's.
    """

    def __init__(self, directory: str) -> None:
        with open(f"{directory}/environ", "rb") as stream:  # noqa: PTH123  of another user's it can't be read
            self._environment = stream.read().split(b"\0")
        with open(f"{directory}/cmdline", "rb") as stream:  # noqa: PTH123
            self.command = os.fsdecode(stream.read()).split("\0")[:-1]

    @property
    def is_ending(self) -> bool:
        """Return whether it has released its memory."""
        return not self.command and self._environment == [b""]

    def has(self, mark: str) -> bool:
        """Return whether it, or a parent that forked it, has a mark."""
        return f"{VARIABLE}={mark}".encode() in self._environment

    @property
    def is_of_runc(self) -> bool:
        """Whether runc has started it to become a container's process, which it isn't yet."""
        return any(variable.startswith(_OF_RUNC) for variable in self._environment)


def mark() -> str:
    """Return a new mark for creating one container."""
    return os.urandom(16).hex()


def kill(process: int, is_meant: Callable[[Process], bool]) -> bool:
    """Kill a process after checking its identity.

    Args:
        process: Its id.
        is_meant: Looks at it.

    Returns:
        Whether it is gone or about to be.
    """
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.pidfd_open(process)
            stack.callback(os.close, descriptor)
            found = Process(f"/proc/{process}")
            if found.is_ending or not is_meant(found):
                return found.is_ending
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            return True
        except OSError:
            # Another user's; or a kernel before 5.3, which can't tell it from the next one of that id.
            return False
    return True
