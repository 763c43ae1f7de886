"""Prints lines, tables, JSON and errors, with untrusted text escaped."""

from __future__ import annotations

import contextlib
import io
import os
import sys

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LAYOUT = "\t\n"


def prepare() -> None:
    """Prepare the process's streams: encoding, and streams that the caller has closed."""
    for descriptor in range(3):
        _occupy(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _occupy(descriptor: int) -> None:
    """Keep the number of a standard stream that the caller closed from being reused for another file.

    It behaves as if it were still closed: reading from it, or writing to it, fails.
    """
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)


def say(text: object) -> None:
    """Print a line. What isn't printable in it is escaped, including line breaks, as names may be untrusted."""
    print(one_line(text))


def say_lines(text: object) -> None:
    """Print a text of several lines, in which untrusted text has been escaped."""
    print(one_line(text, keep=_LAYOUT))


def say_json(document: object) -> None:
    """Print a document as JSON."""
    import json  # noqa: PLC0415  4 ms of each start, most of which print none

    print(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))


def complain(message: str, hint: str | None = None, kind: str = "error") -> None:
    """Print an error, and its hint on the next line, to the standard error; untrusted text in them has been escaped."""
    text = f"wasmoci: {kind}: {message}" if kind else f"wasmoci: {message}"
    _to_stderr(one_line(f"{text}\n{hint}" if hint else text, keep=_LAYOUT))


def tell(text: str) -> None:
    """Print a line to the standard error, if it is open; see :func:`say`."""
    _to_stderr(one_line(text))


def _to_stderr(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Format rows as lines with aligned columns; the last column isn't padded."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[-1:] = [0]
    return "\n".join(
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
