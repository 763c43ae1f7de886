"""Where the SDK keeps what it has compiled."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.compiled import foreign, place

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def cache_root() -> Iterator[Path]:
    """A directory that nobody else can write to: code from there is run unchecked.

    It is beside the compile cache, with the same bound; where there can't be one, a temporary one, which is removed again.
    """
    with contextlib.ExitStack() as stack:
        path = _kept()
        if path is None:
            scratch = tempfile.TemporaryDirectory(prefix="wasmoci-wasmer-", ignore_cleanup_errors=True)
            path = Path(stack.enter_context(scratch))
        yield path


def _kept() -> Path | None:
    try:
        base = place.find()
        if base is None:
            return None
        path = place.private(base / foreign.WASMER, writable=True)
        foreign.trim(path, place.limit())
    except place.Unusable:
        return None
    return path
