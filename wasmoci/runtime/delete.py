"""Implements ``delete`` for Wasm containers: calls the native runtime, and removes our own state."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.runtime import leftovers, spec_substitution
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
    with record.locked() as there:
        if not there:
            native.become()
        document = record.read()
        if document.get("status") != "created":
            # Whoever was to hold the lock while it made the container is gone; what it had started may not be.
            leftovers.end(record, native)
        status = native.wait(spec_substitution.in_child(native.become, lambda error: report(error, invocation)))
        if status == 0 or not native.knows(record.identifier):
            leftovers.discard(record)
    return status
