"""Runs the examples of a page of the documentation, in order, in one directory.

An example is a fenced block behind a comment that a reader doesn't see::

    <!-- example -->              a ``console`` block: commands behind ``$``, and the output that is expected of them, in
                                   which ``...`` stands for anything; or a ``python`` block, which shares its names with those
                                   before it on the page
    <!-- example: file NAME -->   the block is the content of a file
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import attrs

from tests.support.guests import zig_environment

if TYPE_CHECKING:
    from pathlib import Path

_EXAMPLE = re.compile(
    r"^<!-- example(?:: file (?P<file>\S+)|: (?P<fails>fails))? -->\n```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LIMIT = 300  # seconds for one command


@attrs.frozen
class Example:
    """A block of a page.

    Args:
        kind: ``console``, ``python``, or what the file is written in.
        text: Its lines.
        line: Where it begins in the page.
        file: The file that it is the content of, if it is.
        fails: Whether its last command has to fail.
    """

    kind: str
    text: str
    line: int
    file: str | None = None
    fails: bool = False


def examples(page: Path) -> list[Example]:
    """The examples of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Example(
            kind=match["kind"],
            text=match["text"],
            line=text.count("\n", 0, match.start()) + 2,
            file=match["file"],
            fails=match["fails"] is not None,
        )
        for match in _EXAMPLE.finditer(text)
    ]


def run(page: Path, directory: Path) -> None:
    """Run all examples of a page; an assertion fails at the first whose output isn't the expected one."""
    names: dict[str, object] = {"__name__": "example"}
    before = os.getcwd()  # noqa: PTH109
    os.chdir(directory)
    try:
        for example in examples(page):
            if example.file is not None:
                (directory / example.file).write_text(example.text, encoding="utf-8")
            elif example.kind == "python":
                # The lines keep the numbers that they have in the page.
                code = "\n" * example.line + example.text
                exec(compile(code, str(page), "exec"), names)  # noqa: S102  our own documentation
            else:
                _run_console(example, page)
    finally:
        os.chdir(before)


def _run_console(example: Example, page: Path) -> None:
    commands = _commands(example.text)
    for number, (command, expected) in enumerate(commands, 1):
        result = subprocess.run(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_LIMIT,
            env=_environment(),
        )
        pattern = ".*?".join(re.escape(part) for part in expected.split("..."))
        what = f"{page}:{example.line}: {command}\nprinted:\n{result.stdout}"
        assert re.fullmatch(pattern, result.stdout, re.DOTALL), f"{what}\nexpected:\n{expected}"
        fails = example.fails and number == len(commands)
        assert (result.returncode != 0) == fails, f"{what}\nand ended with {result.returncode}"


def _commands(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    assert parts[0] == "", f"output before the first command: {parts[0]!r}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "WASMOCI_CACHE" or not name.startswith(("WASMOCI_", "PYTEST_", "COV_"))
    }
    paths = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable), os.environ["PATH"]]  # noqa: PTH120
    # What the compiler needs for a target is made once for all tests.
    return {**kept, **zig_environment(), "PATH": ":".join(paths)}
