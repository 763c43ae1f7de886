"""``--version`` and ``features``: the native runtime's, and our own beside them."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from wasmoci.runtime.calls import Native

if TYPE_CHECKING:
    from wasmoci.runtime.command_line import Invocation


def main(invocation: Invocation) -> int:
    """Print what is asked for.

    Returns:
        The native runtime's exit status.
    """
    return _features(invocation) if invocation.command == "features" else _version(invocation)


def _version(invocation: Invocation) -> int:
    native = Native(invocation)
    answer = native.call("--version")
    lines = answer.stdout.splitlines() or [f"{native.name} of an unknown version"]
    sys.stdout.write(
        "\n".join([f"wasmoci-runtime version {version('wasmoci')}", f"native: {lines[0]}", *lines[1:], ""])
    )
    return answer.returncode


def _features(invocation: Invocation) -> int:
    answer = Native(invocation).call("features", *invocation.arguments)
    if answer.returncode == 0:
        from wasmoci import registry  # noqa: PLC0415  costs time

        document = json.loads(answer.stdout)
        annotations = {
            "org.wasmoci.version": version("wasmoci"),
            "org.wasmoci.engines": ",".join(registry.default().names()),
        }
        document["annotations"] = {**(document.get("annotations") or {}), **annotations}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return answer.returncode
