"""Reports an error as OCI runtimes do: on the standard error, and in the log file that the caller named."""

from __future__ import annotations

import contextlib
import os
import sys

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import EntrypointNotFound, WasmociError
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from wasmoci.runtime.command_line import Invocation

DEBUG_VARIABLE = "WASMOCI_DEBUG"
_NOT_THERE, _NOT_ALLOWED = ": no such file or directory", ": permission denied"
_CAN_NOT_RUN = 126


def report(error: Exception, invocation: Invocation) -> int:
    """Report an error.

    Args:
        error: The error.
        invocation: The call, with its log and the log's format.

    Returns:
        The exit status.
    """
    if isinstance(error, WasmociError):
        status = error.exit_status
        text = f"{error.message}{_podmans_words(error, invocation)}" + (f"\n{error.hint}" if error.hint else "")
    else:
        if os.environ.get(DEBUG_VARIABLE):
            import traceback  # noqa: PLC0415  costs time, and only a defect needs it

            traceback.print_exception(error)
        status = WasmociError.exit_status
        where = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        text = one_line(where if isinstance(error, OSError) else f"unexpected {type(error).__name__}: {error}")
    log(text, "error", invocation)
    _tell(f"error: {text}")
    return status


def _podmans_words(error: WasmociError, invocation: Invocation) -> str:
    """Return the words by which Podman recognises a missing program (status 127) or one that can't run (126)."""
    if isinstance(error, EntrypointNotFound):
        return _NOT_THERE
    return _NOT_ALLOWED if invocation.command == "exec" and error.exit_status == _CAN_NOT_RUN else ""


def warn(text: str, invocation: Invocation) -> None:
    """Tell of something that doesn't prevent a container, in the same ways.

    Args:
        text: What to tell.
        invocation: The call, with its log and the log's format.
    """
    log(text, "warning", invocation)
    _tell(f"warning: {text}")


def log(text: str, level: str, invocation: Invocation) -> None:
    """Add a line to the log file that the caller named, if any.

    Args:
        text: What to tell.
        level: ``error``, ``warning`` or ``info``.
        invocation: The call.
    """
    file = invocation.options.value("log", "l")
    if not file:
        return
    import json  # noqa: PLC0415  most calls have nothing to tell
    from datetime import datetime, timezone  # noqa: PLC0415

    time = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    if invocation.options.value("log-format") == "json":
        line = json.dumps({"level": level, "msg": text, "time": time})
    else:
        line = f"time={json.dumps(time)} level={level} msg={json.dumps(text)}"
    try:
        with open(file, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        _tell(f"{file}: {error.strerror}")


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"wasmoci-runtime: {text}\n")
        sys.stderr.flush()
