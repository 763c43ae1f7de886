"""Finds the program of an engine, and checks its version."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import EngineUnavailable

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

_VERSION_LIMIT = 20  # seconds that a program may take to print its version
_ELF = b"\x7fELF"


@attrs.frozen(kw_only=True)
class Found:
    """A program that exists and works.

    Args:
        command: The command: its path, after that of the dynamic loader if the file isn't executable.
        version: The version that it reports.
    """

    command: tuple[str, ...]
    version: str


@attrs.frozen
class Program:
    """How to find the program of an engine.

    Args:
        name: Its name in ``PATH``.
        version: Matches its output for ``--version``; the first group is the version.
        hint: How to install it.
        bundled: The module and the file in it, if a distribution contains the program as data.
    """

    name: str
    version: re.Pattern[str] = attrs.field(kw_only=True)
    hint: str = attrs.field(kw_only=True)
    bundled: tuple[str, str] | None = attrs.field(default=None, kw_only=True)

    def find(self) -> Found:
        """Return the first working program, in ``PATH`` or in a distribution.

        Raises:
            EngineUnavailable: There is none.
        """
        problems = []
        for command in self._candidates():
            answer = _ask([*command, "--version"])
            found = self.version.search(answer)
            if found:
                return Found(command=command, version=found[1])
            problems.append(f"{command[-1]} exists, but its version is {answer.strip()[:200]!r}")
        problem = "; ".join(problems) or f"the program {self.name} is not in PATH"
        raise EngineUnavailable(problem, hint=self.hint)

    def _candidates(self) -> Iterator[tuple[str, ...]]:
        in_path = shutil.which(self.name)
        if in_path is not None:
            yield (in_path,)
        bundled = self._bundled()
        if bundled is not None:
            yield (str(bundled),) if os.access(bundled, os.X_OK) else (*_loader(bundled), str(bundled))

    def _bundled(self) -> Path | None:
        if self.bundled is None:
            return None
        module, file = self.bundled
        spec = importlib.util.find_spec(module)
        path = None if spec is None or spec.origin is None else Path(spec.origin).with_name(file)
        return path if path is not None and path.is_file() else None


def _loader(path: Path) -> tuple[str, ...]:
    """Return the dynamic loader that a file names, which runs a file that isn't executable; None if it names none.

    pip makes a file of a wheel executable only if the wheel's archive marks it as a regular file as well.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    start = head.find(b"/lib")
    if not head.startswith(_ELF) or start < 0:
        return ()
    return (os.fsdecode(head[start : head.index(b"\0", start)]),)


def _ask(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  a program that would run guests as well
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_LIMIT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout or done.stderr
