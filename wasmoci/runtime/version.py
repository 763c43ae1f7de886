"""Implements ``--version``, ``--help`` and ``features``: the native runtime's output with our own added."""

from __future__ import annotations

import json
import sys

from wasmoci import __version__
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.runtime.command_line import VERSION_OPTIONS
from wasmoci.runtime.native_calls import Native

if TYPE_CHECKING:
    from wasmoci.runtime.command_line import Invocation


_OPTIONS = """\
OPTIONS OF WASMOCI-RUNTIME:
   --handler NAME         make every container but a pod's sandbox Wasm: wasm, or an engine's name
   --native-runtime NAME  the native runtime, a name or a path; all other options and commands are its own
"""


def main(invocation: Invocation) -> int:
    """Print what is asked for.

    Returns:
        The native runtime's exit status.
    """
    if invocation.command == "features":
        return _features(invocation)
    if invocation.asks_for(*VERSION_OPTIONS):
        return _version(Native(invocation))
    answer = Native(invocation).call()
    sys.stdout.write(f"{answer.stdout.rstrip()}\n\n{_OPTIONS}")
    return answer.returncode


def _version(native: Native) -> int:
    answer = native.alone("--version")
    lines = answer.stdout.splitlines() or [f"{native.name} of an unknown version"]
    sys.stdout.write("\n".join([f"wasmoci-runtime version {__version__}", f"native: {lines[0]}", *lines[1:], ""]))
    return answer.returncode


def _features(invocation: Invocation) -> int:
    answer = Native(invocation).call("features", *invocation.arguments)
    if answer.returncode == 0:
        from wasmoci.dispatch import registry  # noqa: PLC0415  costs time

        document = json.loads(answer.stdout)
        annotations = {
            "org.wasmoci.version": __version__,
            "org.wasmoci.engines": ",".join(registry.default().names()),
        }
        document["annotations"] = {**(document.get("annotations") or {}), **annotations}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return answer.returncode
