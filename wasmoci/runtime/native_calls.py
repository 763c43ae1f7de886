"""Calls the native runtime as a child process, and returns its answer."""

from __future__ import annotations

import os
import signal

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import NativeRuntimeError
from wasmoci.runtime import native_exec

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from types import FrameType
    from typing import Any, NoReturn

    from wasmoci.runtime.command_line import Invocation

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FROM_TERMINALS = (signal.SIGINT, signal.SIGQUIT)  # which go to all of its processes anyway


class Native:
    """The native runtime for one call of ours.

    Args:
        invocation: The call.

    Attributes:
        global_options: Its program, and its global options for the call.
        command: The native runtime's command line for the same call.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._program = native_exec.find(invocation)
        self.global_options = native_exec.global_arguments(invocation, self._program)
        self.command = native_exec.arguments(invocation, self._program)

    @property
    def name(self) -> str:
        """Its program's name."""
        return os.path.basename(self._program)  # noqa: PTH119

    @property
    def has_engines(self) -> bool:
        """Whether it may treat a container with our annotations as one of its own Wasm containers."""
        return not self.name.startswith("runc")

    def become(self, command: Sequence[str] | None = None) -> NoReturn:
        """Replace this process by it.

        Args:
            command: Another command line for it; None for that of the call.
        """
        os.execv(self._program, list(command or self.command))  # noqa: S606

    def call(self, *arguments: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
        """Call it with the global options of the call, for an answer on its standard output."""
        import subprocess  # noqa: PLC0415  it isn't asked when a container is made, and seldom when one has run

        return subprocess.run(  # noqa: S603
            [*self.global_options, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            check=False,
        )

    def alone(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call it for our own purposes, without the call's options, and return its output."""
        import subprocess  # noqa: PLC0415

        return subprocess.run([self._program, *arguments], capture_output=True, text=True, check=False)  # noqa: S603

    def state(self, identifier: str) -> dict[str, Any]:
        """A container's state, as the OCI runtime specification has it; empty when it knows no such container.

        Raises:
            NativeRuntimeError: Its output is invalid.
        """
        import json  # noqa: PLC0415

        answer = self.alone(*_root(self.global_options)[1:], "state", identifier)
        if answer.returncode != 0:
            return {}
        try:
            found: dict[str, Any] = json.loads(answer.stdout)
        except ValueError as error:
            raise NativeRuntimeError(f"{self.name} state {identifier}: {error}") from None
        return found

    def knows(self, identifier: str) -> bool:
        """Return whether it knows a container."""
        return bool(self.state(identifier))

    def wait(self, child: int) -> int:
        """Run it in a child process, pass signals on to it, and wait for its end.

        Returns:
            Its exit status; 128 + the signal's number where one ended it.
        """

        def pass_on(number: int, _frame: FrameType | None) -> None:
            os.kill(child, number)

        before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
        before |= {number: signal.signal(number, signal.SIG_IGN) for number in _FROM_TERMINALS}
        try:
            _, status = os.waitpid(child, 0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _root(options: Sequence[str]) -> list[str]:
    """Return the global options for the state directory, without those for the caller's log."""
    program, *others = options
    kept = [program]
    remaining = iter(others)
    for option in remaining:
        name, mark, _ = option.partition("=")
        if name == "--root":
            kept.extend([option] if mark else [option, next(remaining, "")])
        elif name == "--systemd-cgroup":
            kept.append(option)
    return kept
