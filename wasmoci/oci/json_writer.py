"""Copies and writes the documents that :mod:`wasmoci.oci.json_reader` reads."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any


def copied(document: dict[str, Any]) -> dict[str, Any]:
    """A copy of a document that shares nothing with it."""
    return copy.deepcopy(document)


def write_file(path: str | os.PathLike[str], document: dict[str, Any]) -> None:
    """Write a document as a file, atomically.

    Args:
        path: The file, a host path; its directory exists.
        document: What to write.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        # In ASCII: a lone surrogate somewhere in what isn't modelled has no other way back into a file.
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="ascii")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
