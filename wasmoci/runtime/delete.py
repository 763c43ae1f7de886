"""Implements ``delete`` for Wasm containers: calls the native runtime, and removes our own state."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.runtime import leftovers, making, spec_substitution
from wasmoci.runtime.error_report import report
from wasmoci.runtime.native_calls import Native
from wasmoci.runtime.record import Record

if TYPE_CHECKING:
    from wasmoci.runtime.command_line import Invocation


def main(invocation: Invocation) -> int:
    """Delete a container.

    Returns:
        The native runtime's exit status.
    """
    record, native = Record.of(invocation), Native(invocation)
    forced = any(name in invocation.parsed().values for name in ("force", "f"))
    with making.settled(record, native) as there:
        if not there:
            native.become()
        # A run holds the record while it waits for the container. What no native runtime has, though, hangs in the making.
        if record.read().get("status") != "created" and (
            not record.is_held or (forced and not native.knows(record.identifier))
        ):
            leftovers.end(record, native)
        was_there = not record.is_held or native.knows(record.identifier)
        status = native.wait(spec_substitution.in_child(native.become, lambda error: report(error, invocation)))
        is_gone = status == 0 or (was_there and not native.knows(record.identifier))
        if is_gone:
            leftovers.discard(record)
    # crun's run deletes its container as well, and its delete complains when it comes second.
    return 0 if is_gone and forced else status
