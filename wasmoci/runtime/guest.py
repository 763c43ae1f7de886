"""Runs the guest of a Wasm container on its engine, as described by the environment.

All files of the guest are in one directory, with its mounts made by the kernel. So that directory is its root, and the kernel
enforces what is read-only.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from wasmoci import compiled
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import WasmociError
from wasmoci.handlers.base import from_reference
from wasmoci.isolation import descriptor_limit
from wasmoci.oci.spec import Process, Root, Spec
from wasmoci.result import ExitReason
from wasmoci.runtime.guest_plan import Description
from wasmoci.stdio import Stdio
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from wasmoci.result import ExecutionResult


def main(args: Sequence[str], environment: MutableMapping[str, str]) -> int:
    """Run the guest to its end.

    Args:
        args: The guest's arguments; the first is its program.
        environment: The process's environment, from :func:`wasmoci.runtime.guest_plan.variables`; of the guest's nothing is left in it.

    Returns:
        The exit status.
    """
    try:
        what = Description.taken(environment)
        if what.compiled is not None:
            compiled.provide(*what.compiled)
        descriptor_limit.bound()
        spec = Spec(process=Process(args=tuple(args), env=what.env, cwd=what.cwd), root=Root(path=what.rootfs))
        result = from_reference(what.handler).execute(spec, Path(what.rootfs), stdio=Stdio.inherit())
    except WasmociError as error:
        _tell(f"error: {error}")
        return error.exit_status
    except BaseException as error:  # noqa: BLE001  no traceback at a user's terminal, and no SystemExit that ends well
        _tell(one_line(f"error: unexpected {type(error).__name__}: {error}"))
        return WasmociError.exit_status
    _report(result)
    return result.exit_status


def _report(result: ExecutionResult) -> None:
    if result.reason is ExitReason.EXITED:
        return
    _tell(one_line(f"the guest {result.reason.value}: {result.message or 'no more is known'} ({result.engine})"))
    for frame in result.backtrace:
        _tell(one_line(f"  at {frame}"))


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"wasmoci-runtime: {text}\n".encode(errors="backslashreplace"))
