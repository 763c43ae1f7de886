"""What the runtime keeps of containers that are gone, so that tests leave the machine as they found it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.runtime import state_directories

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """Remove at the end what was kept meanwhile."""
    place = Path(state_directories.base(), "decisions")
    before = set(place.glob("*"))
    yield
    for path in set(place.glob("*")) - before:
        path.unlink(missing_ok=True)
    for directory in (place, place.parent):
        with contextlib.suppress(OSError):  # where there is more
            directory.rmdir()
