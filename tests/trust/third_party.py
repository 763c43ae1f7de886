"""Handlers of somebody else's that promise nothing, and so run in the jail; a worker process imports them from here."""

from __future__ import annotations

import importlib
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.handlers.base import BaseHandler, Outcome
from wasmoci.handlers.capabilities import Capability
from wasmoci.wasm.module import WEBASSEMBLY_2

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload


class ThirdParty(BaseHandler):
    """Does nothing for a guest, and something for itself."""

    name = "third-party"
    capabilities = frozenset({Capability.WASI_PREVIEW1, Capability.LIVE_FILES, Capability.READ_ONLY})
    features = WEBASSEMBLY_2

    def provides(self, module: str, name: str) -> bool:  # noqa: ARG002  guests import nothing
        """See :class:`BaseHandler`."""
        return False

    def run(self, workload: Workload) -> Outcome:
        """See :class:`BaseHandler`."""
        workload.started()
        return Outcome.exited(self.act())

    def act(self) -> int:
        """What it does; the guest's exit code."""
        return 0


class ImportsLate(ThirdParty):
    """Imports what it needs when it needs it."""

    def act(self) -> int:
        """See :class:`ThirdParty`."""
        return int(importlib.import_module("colorsys").rgb_to_hsv(0, 0, 0)[0])


class StartsThread(ThirdParty):
    """Has a thread for each guest."""

    def act(self) -> int:
        """See :class:`ThirdParty`."""
        codes: list[int] = []
        thread = threading.Thread(target=codes.append, args=(0,))
        thread.start()
        thread.join()
        return codes[0]


class LoadsTooLittle(ImportsLate):
    """Says that it loads beforehand what it needs, and forgets something."""

    def preload(self) -> None:
        """See :class:`wasmoci.handlers.contract.Preloading`."""


class ReadsFile(ThirdParty):
    """Needs a file of the host's."""

    def act(self) -> int:
        """See :class:`ThirdParty`."""
        return 0 if Path("/etc/passwd").read_bytes() else 1


class StartsProcess(ThirdParty):
    """Runs a program, and doesn't say so."""

    def act(self) -> int:
        """See :class:`ThirdParty`."""
        return subprocess.run(["true"], check=False).returncode


class SaysThatItStartsProcesses(StartsProcess):
    """The same, and says so."""

    starts_processes = True


class KeepsThread(ThirdParty):
    """Has a thread for all that it ever does."""

    def __init__(self) -> None:
        self._end = threading.Event()
        threading.Thread(target=self._end.wait, daemon=True).start()
