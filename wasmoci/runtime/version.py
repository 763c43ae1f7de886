"""Implements ``--version``, ``features`` and ``--help``: the native runtime's output with our own added, and what this program does."""

from __future__ import annotations

import json
import sys

from wasmoci import __version__
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import NativeRuntimeNotFound
from wasmoci.runtime.command_line import VERSION_OPTIONS
from wasmoci.runtime.native_calls import Native

if TYPE_CHECKING:
    from wasmoci.runtime.command_line import Invocation


_HELP = """\
Usage: wasmoci-runtime [OPTION...] COMMAND [OPTION...] [ID]

An OCI runtime that runs WebAssembly containers on an engine, and hands all others on to a native runtime.

COMMANDS:
   create, run      make a container, or run it to its end; a Wasm one gets its engine here
   exec             run a program in a container: in a Wasm one, another module of its files
   delete           remove a container; with --force, also one that runs or that was left half made
   state            print a container's state
   features         print what the native runtime supports, and the engines
   checkpoint, events, kill, list, pause, ps, restore, resume, spec, start, update
                    the native runtime's own

OPTIONS:
   --handler NAME         make every container but a pod's sandbox Wasm: wasm, or an engine's name
   --native-runtime NAME  the native runtime, a name or a path; by default the first of crun, runc and youki that works here
   --root DIR             where the native runtime keeps its containers
   --log FILE             where to write errors and warnings
   --log-format FORMAT    text or json
   --systemd-cgroup, --cgroup-manager NAME
                          who makes cgroups
   --version              print the versions of this program and of the native runtime
   --help                 print this
   All others are the native runtime's; to see them: {native} --help

Called as wasmoci-wasm or crun-wasm, it does as with --handler wasm.
A container is Wasm by its annotations; to see why one is, or isn't: wasmoci explain ID
"""


def main(invocation: Invocation) -> int:
    """Print what is asked for.

    Returns:
        The exit status: the native runtime's where it is asked.
    """
    if invocation.command == "features":
        return _features(invocation)
    if invocation.asks_for(*VERSION_OPTIONS):
        return _version(Native(invocation))
    return _help(invocation)


def _help(invocation: Invocation) -> int:
    try:
        native = Native(invocation).name
    except NativeRuntimeNotFound:
        native = "the native runtime, none of which is installed:"
    sys.stdout.write(_HELP.format(native=native))
    return 0


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
