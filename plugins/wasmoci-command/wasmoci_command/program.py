"""Finds the program of an engine, and asks it who it is."""

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

_VERSION_LIMIT = 20  # seconds that a program may take to tell its version
_ELF = b"\x7fELF"


@attrs.frozen(kw_only=True)
class Found:
    """A program that is there and works.

    Args:
        command: What it is called by: its path, behind that of the dynamic loader where the file isn't executable.
        version: What it says of itself.
    """

    command: tuple[str, ...]
    version: str


@attrs.frozen
class Program:
    """The program of an engine, wherever it is.

    Args:
        name: The name that it has in ``PATH``.
        version: Matches what it prints for ``--version``; its first group is the version.
        hint: How to get it.
        bundled: The module and the file in it, where a distribution brings the program as data.
    """

    name: str
    version: re.Pattern[str] = attrs.field(kw_only=True)
    hint: str = attrs.field(kw_only=True)
    bundled: tuple[str, str] | None = attrs.field(default=None, kw_only=True)

    def find(self) -> Found:
        """The first that is there and is what it is thought to be: in ``PATH``, or brought by a distribution.

        Raises:
            EngineUnavailable: There is none.
        """
        problems = []
        for command in self._candidates():
            answer = _ask([*command, "--version"])
            found = self.version.search(answer)
            if found:
                return Found(command=command, version=found[1])
            problems.append(f"{command[-1]} is there, but says {answer.strip()[:200]!r} for its version")
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
    """The dynamic loader that a file names, which runs it without its being executable; none when it names none.

    pip makes a file of a wheel executable only where the wheel's archive says that it is a regular file, too.
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
