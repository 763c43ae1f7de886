"""Implements ``state`` for Wasm containers: the native runtime's output, with the original annotations."""

from __future__ import annotations

import json
import sys

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.runtime.native_calls import Native
from wasmoci.runtime.record import Record

if TYPE_CHECKING:
    from wasmoci.runtime.command_line import Invocation


def main(invocation: Invocation) -> int:
    """Print a container's state.

    Returns:
        The native runtime's exit status.
    """
    native, record = Native(invocation), Record.of(invocation)
    if not native.has_engines:
        native.become()
    answer = native.call("state", *invocation.arguments)
    annotations = record.read().get("annotations")
    if answer.returncode == 0 and annotations:
        sys.stdout.write(json.dumps({**json.loads(answer.stdout), "annotations": annotations}, indent=2) + "\n")
    else:
        sys.stdout.write(answer.stdout)
    sys.stdout.flush()
    return answer.returncode
