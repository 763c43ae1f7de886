"""The program ``wasmoci-runtime``: handles calls for Wasm containers, and passes native containers on."""

from __future__ import annotations

import errno
import os
import sys

from wasmoci._startup import process
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.host.regular_file import read_regular
from wasmoci.runtime import native_exec, state_directories
from wasmoci.runtime.command_line import HELP_OPTIONS, VERSION_OPTIONS, Invocation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_CREATING = frozenset({"create", "run"})
_CONFIG = "config.json"
_MAX_SPEC = 16 << 20  # as wasmoci.oci.json_reader, which is imported for Wasm containers alone


def program() -> NoReturn:
    """Run the program as a process, and end it."""
    process.begin()
    process.end(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Handle a call of the program.

    Args:
        argv: The program's name and its arguments; None for those of the process.

    Returns:
        The exit status, where the call isn't handed on to the native runtime for good.
    """
    invocation = Invocation(sys.argv if argv is None else argv)
    try:
        return _serve(invocation)
    except Exception as error:  # noqa: BLE001  every error is the caller's to hear, in the form that it asked for
        from wasmoci.runtime.error_report import report

        return report(error, invocation)


def _serve(invocation: Invocation) -> int:
    if invocation.command in _CREATING and _may_be_wasm(invocation):
        from wasmoci.runtime import create

        return create.main(invocation)
    if invocation.command in _OURS and state_directories.exist():
        identifier = invocation.container()
        if identifier and state_directories.is_identifier(identifier):
            directory = state_directories.container(invocation.root, identifier)
            if os.path.isdir(directory):
                import importlib

                status: int = importlib.import_module(f"wasmoci.runtime.{_OURS[invocation.command]}").main(invocation)
                return status
            if invocation.command == "delete":
                state_directories.tidy(directory)
    if invocation.command == "features" or invocation.asks_for(*VERSION_OPTIONS, *HELP_OPTIONS):
        from wasmoci.runtime import version

        return version.main(invocation)
    return native_exec.replace(invocation)


_OURS = {"exec": "exec_", "delete": "delete", "state": "state"}
"""The commands that we implement for Wasm containers, and their modules."""


def _may_be_wasm(invocation: Invocation) -> bool:
    """Return whether a container may be Wasm, so that its spec has to be read; False means that it is native."""
    if invocation.forced is not None or native_exec.settings().get("detection", "annotations") != "annotations":
        return True
    options = invocation.parsed()
    name = options.value("config", "f") or _CONFIG
    try:
        document = read_regular(os.path.join(options.value("bundle", "b") or os.curdir, name), _MAX_SPEC)
    except OSError as error:
        # The native runtime will say so in its own words; only on a FIFO it would wait, and on a device do anything.
        return error.errno == errno.EINVAL
    from wasmoci.oci.annotations import mentioned

    return len(document) > _MAX_SPEC or mentioned(document)
