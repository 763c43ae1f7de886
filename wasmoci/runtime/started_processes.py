"""Identifies, and kills, the processes that a command has started to create a container.

A command gives the native runtime a mark, random and written in the container's record alone, in its environment, which whatever it
forks has as well. A process is killed by its descriptor, opened before it was looked at: another one that has got its id meanwhile
isn't.
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
"""How the variables begin that runc gives the process that is to become a container's, and no others."""


class Process:
    """A process as it is found.

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
        """Whether it has no memory any more."""
        return not self.command and self._environment == [b""]

    def has(self, mark: str) -> bool:
        """Whether it has a mark, by itself or from whoever has forked it."""
        return f"{VARIABLE}={mark}".encode() in self._environment

    @property
    def is_of_runc(self) -> bool:
        """Whether runc has started it to become a container's process, which it isn't yet."""
        return any(variable.startswith(_OF_RUNC) for variable in self._environment)


def mark() -> str:
    """A mark for the making of one container."""
    return os.urandom(16).hex()


def kill(process: int, is_meant: Callable[[Process], bool]) -> bool:
    """Kill a process if it is the one that is meant.

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
