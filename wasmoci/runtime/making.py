"""Commands on a container that another command is just making."""

from __future__ import annotations

import contextlib
import time

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.runtime.native_calls import Native
    from wasmoci.runtime.record import Record

_PATIENCE = 10.0  # seconds until a native runtime has a container that it makes; hooks and consoles may take their time
_STEP = 0.02


@contextlib.contextmanager
def settled(record: Record, native: Native, *, make: bool = False) -> Iterator[bool]:
    """Lock a container when the native runtime has it, or nobody is at the making of it any more.

    ``create`` locks the container until then. ``run`` can't, as it may take as long as the guest does: it holds the record alone.

    Args:
        record: The container's.
        native: The native runtime.
        make: Whether to make the record's directory where it is missing.

    Returns:
        Whether the directory is there. After ten seconds, the container may be one that is being made even so.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        with record.locked(make=make) as there:
            is_made = there and record.is_held and not native.knows(record.identifier)
            if not is_made or time.monotonic() > deadline:
                yield there
                return
        time.sleep(_STEP)
