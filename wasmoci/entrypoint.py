"""Which program of the container runs, and with what: ``process.args``, ``process.env`` and ``process.cwd``."""

from __future__ import annotations

import os
import posixpath
import stat
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import EntrypointError, EntrypointNotFound, InvalidSpec
from wasmoci.module import Module

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.filesystem import GuestFiles
    from wasmoci.spec import Spec

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@attrs.frozen(kw_only=True)
class Entrypoint:
    """The program, its function and its arguments.

    Args:
        program: ``args[0]`` without the function: a guest path, as the spec has it.
        function: The exported function to call; None for the default (``_start``, for a component ``wasi:cli/run``).
        argv: What the guest gets as its arguments, the first of them :attr:`program`.
        env: The environment, in order, split at the first ``=``.
        cwd: The working directory, an absolute guest path.
    """

    program: str
    function: str | None
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str

    @classmethod
    def of(cls, spec: Spec) -> Entrypoint:
        """Read a spec's process.

        Raises:
            InvalidSpec: There is no process, or it has no arguments.
        """
        process = spec.process
        if process is None or not process.args:
            missing = "$.process" if process is None else "$.process.args"
            raise InvalidSpec("is missing; a program to run was expected", path=missing)
        program, mark, function = process.args[0].partition("#")
        if not program or (mark and not function):
            raise InvalidSpec(
                f"found {process.args[0]!r}; a path, or a path and a function as in /app.wasm#main, was expected",
                path="$.process.args[0]",
            )
        return cls(
            program=program,
            function=function or None,
            argv=(program, *process.args[1:]),
            env=tuple(_split(variable) for variable in process.env),
            cwd=process.cwd,
        )

    def candidates(self) -> tuple[str, ...]:
        """The absolute guest paths where the program may be, in order, as ``execvp`` has it and then the directory itself."""
        if "/" in self.program:
            return (posixpath.join(self.cwd, self.program),)
        search = dict(self.env).get("PATH") or DEFAULT_PATH
        directories = [*search.split(":"), self.cwd]
        return tuple(posixpath.join(self.cwd, directory, self.program) for directory in directories)
