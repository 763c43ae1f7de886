"""Calls ``wasmoci-runtime`` as conmon and containerd do, on bundles of our own."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING, Any

from tests.real import programs
from tests.real.programs import RUNTIME, Done
from tests.runtime.containers import HYBRID, ONE_HIERARCHY
from tests.support.bundles import write_bundle
from tests.support.guests import build
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NUMBERS = itertools.count()


class Direct:
    """A container that is called by its id.

    Args:
        directory: Where its bundle and the runtime's state are.
        native: The native runtime.
    """

    def __init__(self, directory: Path, native: str = "runc") -> None:
        self.id = f"wasmoci-direct-{os.getpid()}-{next(NUMBERS)}"
        self.directory = directory
        self.bundle = directory / "bundle"
        self.log = directory / "log.json"
        self._prefix = ONE_HIERARCHY if native == "crun" and HYBRID else ()
        self._own = ("--native-runtime", programs.program(native))

    def make(self, guest: str, *args: str, **options: Any) -> None:
        """Write the bundle."""
        write_bundle(self.bundle, build(guest), args=args, extra=self._extra(args), **options)

    def _extra(self, args: Sequence[str]) -> dict[str, Any]:
        namespaces = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]
        user = {"uid": 0, "gid": 0}
        return {
            "process": {"args": ["/app.wasm", *args], "env": ["A=b"], "cwd": "/", "user": user},
            "linux": {"namespaces": namespaces, "cgroupsPath": f"/{self.id}"},
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line of a call; ``ID`` stands for the container's id."""
        given = [self.id if argument == "ID" else str(argument) for argument in arguments]
        return [*self._prefix, str(RUNTIME), *self._own, "--root", str(self.directory / "root"), *given]

    def __call__(self, *arguments: str | Path, check: bool = True, path: bool = True) -> Done:
        """Call the runtime.

        Args:
            arguments: What follows the program's name.
            check: Fail the test when the status isn't 0.
            path: Whether there is a ``PATH`` in the environment.
        """
        environment = dict(os.environ) if path else {}
        command, place = self.command(*arguments), {"environment": environment, "directory": self.directory}
        if not {"create", "run"} & set(arguments):
            return programs.run(*command, check=check, **place)
        # A container keeps the streams that it was created with: not a pipe, whose end would be waited for.
        with (self.directory / "output").open("ab") as output:
            status = programs.run_into(output, *command, **place)
        assert not (check and status), f"{arguments}: status {status}\n{self.written()}"
        return Done(command, status, "", "")

    def state(self) -> dict[str, Any]:
        """What ``state`` says."""
        found: dict[str, Any] = json.loads(self("state", "ID").stdout)
        return found

    def wait(self, status: str) -> None:
        """Wait until ``state`` says something."""
        wait_for(status, lambda: self.state()["status"] == status)

    def written(self) -> str:
        """All that the container and the calls have written."""
        return (self.directory / "output").read_text()
