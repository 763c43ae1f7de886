"""Formats a run as text, for reports, for differences between engines and for snapshots."""

from __future__ import annotations

import difflib
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.result import ExecutionResult
    from wasmoci.testing.changes import Changes

_BYTES_A_LINE = 16
_MOST_BYTES = 512  # of binary data; its digest covers the rest


def transcript(result: ExecutionResult, changes: Changes) -> str:
    """Format how a guest ended, its output and its changes, without what differs between engines or runs."""
    return "\n".join(_lines(result, changes)) + "\n"


def difference(first: str, second: str, *, names: tuple[str, str]) -> list[str]:
    """Return the lines of a unified diff; empty when both are the same."""
    lines = difflib.unified_diff(first.splitlines(), second.splitlines(), *names, lineterm="", n=2)
    return list(lines)


def _lines(result: ExecutionResult, changes: Changes) -> Iterator[str]:
    yield f"exit code: {result.exit_code}"
    yield f"reason: {result.reason.value}"
    yield from block("stdout", result.stdout, truncated=result.stdout_truncated)
    yield from block("stderr", result.stderr, truncated=result.stderr_truncated)
    for path, content in changes.files.items():
        yield from block(f"file {path}", content)
    for path in changes.directories:
        yield f"directory {path}"
    for path, target in changes.links.items():
        yield f"link {path} -> {target}"
    for path in changes.removed:
        yield f"removed {path}"


def block(title: str, data: bytes | None, *, truncated: bool = False) -> Iterator[str]:
    """Yield a title and the data below it: as lines if it is text, otherwise in hexadecimal."""
    if not data:
        yield f"{title}: {'not captured' if data is None else 'empty'}"
        return
    text = _text(data)
    if text is None:
        yield f"{title}: {len(data)} bytes, sha256:{hashlib.sha256(data).hexdigest()}"
        yield from (f"  {line}" for line in _hexadecimal(data))
    else:
        yield f"{title}:"
        yield from (f"  {_escaped(line)}" for line in text.removesuffix("\n").split("\n"))
        if not text.endswith("\n"):
            yield "  (no newline at the end)"
    if truncated:
        yield "  (more was dropped)"


def _text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _escaped(line: str) -> str:
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode() for char in line
    )


def _hexadecimal(data: bytes) -> Iterator[str]:
    for offset in range(0, min(len(data), _MOST_BYTES), _BYTES_A_LINE):
        yield f"{offset:08x}  {data[offset : offset + _BYTES_A_LINE].hex(' ')}"
    if len(data) > _MOST_BYTES:
        yield "..."
